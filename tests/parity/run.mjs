// Compares kith's engine with llama.cpp on random models: the same tokens for the same texts, logits within the band
// in which llama.cpp differs from itself (nmse <= 2e-6 for float weights, 2e-3 quantised), and the same best token at
// every position where llama.cpp's best two are clear of the difference (compare.mjs). Flash attention is off: it sums
// in float16, and that alone is 1.5e-6.
//
//   node run.mjs PARITY_TOOL [ROWS]  only rows with ROWS in their name; exit 77: node-llama-cpp is not installed, nothing was compared
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkMeasures, compareRows } from "./compare.mjs";

const SKIPPED = 77;
const FLOAT_NMSE_MAX = 2e-6;
// llama.cpp rounds the other side of a bfloat16 product to bfloat16 as well (8 bits); kith keeps it whole.
const BFLOAT_NMSE_MAX = 1e-4;
const QUANTISED_NMSE_MAX = 2e-3;
const NMSE_MAX = { f32: FLOAT_NMSE_MAX, f16: FLOAT_NMSE_MAX, bf16: BFLOAT_NMSE_MAX };
const PROMPT_TOKENS = 24;
// Of a prompt's positions, at least this many choices have to be clear, or the comparison of them says nothing.
const CLEAR_MIN = 6;
// Where two experts are as good as equal to the router, rounding alone decides which one computes; such a row is far
// from the reference (nmse 0.08 in one of 24, the others 2e-4 to 5e-4). Of a model with experts, so many are left out.
const STRAY_ROWS = { qwen3moe: 2 };

const TEXTS = [
  "Hello world",
  "The machine's answer, it'll be 12345 or 1,000,000!",
  "  leading, trailing   \n\n\n and\ttabs \t\n",
  "caf\u00e9 na\u00efve \u4e2d\u6587\u5b57 \ud83d\ude00\u200d\ud83d\udc69 \u0645\u0631\u062d\u0628\u0627 \u00bd \u0661\u0662\u0663",
  "if (x == 1) { return y[0]; } // $5 <= 6 && a->b",
  "IT'S WE'LL they'Re 'tis",
  "a<|im_end|>b<|im_start|>user\nx</s>y<tool_call>z",
  "<|user|>\n  Hello<|end|> \n<|assistant|>\nYes<|endoftext|> no <s> x",
  "<start_of_turn>user\n\n\nHi<b>!<end_of_turn>\n<start_of_turn>model\n",
  "\u3000\u00a0x\u2028y \r\n z",
  "HelloWorld HTTPServer iPhone aBC \u00c9t\u00e9A\u00e9B \u0410\u0411\u0432X +++//\r\n/a /// 12 e\u0301",
];

const load = async () => {
  try {
    return await import("node-llama-cpp");
  } catch (error) {
    console.log(`skipped: node-llama-cpp cannot be loaded (${error.code ?? error.message}); it needs Node.js 20 or ` +
        `newer, this is ${process.version}`);
    process.exit(SKIPPED);
  }
};
const { getLlama, LlamaLogLevel } = await load();
const tool = process.argv[2];
const only = process.argv[3] ?? "";
const folder = mkdtempSync(join(tmpdir(), "kith-parity-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const llama = await getLlama({ build: "never", gpu: false, logLevel: LlamaLogLevel.error });

const ours = (...parts) =>
  JSON.parse(execFileSync(tool, parts.map(String), { maxBuffer: 1 << 26 }).toString());

let failures = 0;
const report = (ok, line) => {
  console.log(`${ok ? "ok" : "not ok"} - ${line}`);
  if (!ok) failures += 1;
};

async function compareTokens(model, file, name) {
  for (const text of TEXTS) {
    const textFile = join(folder, "text");
    writeFileSync(textFile, text);
    const mine = ours("tokenize", file, textFile).ids;
    const theirs = [...model.tokenize(text, true)];
    const same = JSON.stringify(mine) === JSON.stringify(theirs);
    report(same, `${name}: tokens of ${JSON.stringify(text)}`);
    if (!same) console.log(`  ours   ${mine}\n  theirs ${theirs}`);
  }
}

async function compareLogits(model, file, name, bound, strays) {
  const ids = Array.from({ length: PROMPT_TOKENS }, (_, i) => (i * 37 + 11) % 400);
  const context = await model.createContext({ contextSize: 256, threads: 2, flashAttention: false });
  const sequence = context.getSequence();
  const all = ids.map((id) => [id, { generateNext: { probabilities: true } }]);
  const references = (await sequence.controlledEvaluate(all)).map((result) => result.next.probabilities);
  const { nmse, rows, count, clear, differ } = compareRows(ours("logits", file, ...ids).rows, references, strays);
  report(nmse <= bound && count > 500, `${name}: nmse ${nmse.toExponential(2)} over ${count} logits of ${rows} rows`);
  report(clear >= CLEAR_MIN && differ.length === 0,
    `${name}: the same best token in ${clear - differ.length} of ${clear} rows with a clear one` +
    (differ.length === 0 ? "" : `; not at position ${differ}`));
  await context.dispose();
}

async function compare({ architecture, type, tokenizer, options = [], parts = ["logits"] }) {
  const name = [architecture, type, tokenizer, ...options].join(" ");
  if (!name.includes(only)) return;
  const file = join(folder, `${name.replaceAll(" ", "_")}.gguf`);
  ours("synth", file, architecture, type, tokenizer, ...options);
  const model = await llama.loadModel({ modelPath: file });
  if (parts.includes("tokens")) await compareTokens(model, file, name);
  if (parts.includes("logits"))
    await compareLogits(model, file, name, NMSE_MAX[type] ?? QUANTISED_NMSE_MAX, STRAY_ROWS[architecture] ?? 0);
  await model.dispose();
  rmSync(file);
}

const TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k", "q5_0", "iq4_nl", "q3_k", "q4_1", "q5_1", "q5_k",
  "q2_k"];
// What each architecture has of its own: windows shorter than the prompt, heads of another size than the hidden size
// over their number, layers of both kinds.
const ARCHITECTURES = [
  { architecture: "qwen3", tokenizer: "qwen2", options: ["head=128", "tied"] },
  { architecture: "qwen3moe", tokenizer: "qwen2", options: ["head=128"] },
  { architecture: "gemma2", tokenizer: "gemma", options: ["head=128", "tied", "window=8"] },
  { architecture: "gemma3", tokenizer: "gemma", options: ["head=128", "tied", "window=8", "layers=7"] },
  // llama.cpp leaves the windows of Phi 3 out ("currently disabled"), so here the prompt fits into one.
  { architecture: "phi3", tokenizer: "phi3", options: ["window=64"] },
  { architecture: "phi3", tokenizer: "phi3", options: ["window=64", "rope=longrope", "context=512"] },
  { architecture: "phi3", tokenizer: "phi3", options: ["window=64", "rope=longrope", "context=2048"] },
  { architecture: "llama", tokenizer: "spm", options: ["rope=linear"] },
  { architecture: "llama", tokenizer: "spm", options: ["rope=yarn"] },
  { architecture: "qwen3", tokenizer: "qwen2", options: ["rope=yarn"] },
  { architecture: "llama", tokenizer: "llama3", options: ["rope=divisors"] },
];

for (const wrong of checkMeasures()) report(false, `the measures themselves: ${wrong}`);
for (const tokenizer of ["gpt2", "qwen2", "llama3", "tekken", "spm"])
  await compare({ architecture: "llama", type: "q4_0", tokenizer, parts: ["tokens"] });
await compare({ architecture: "gemma2", type: "q4_0", tokenizer: "gemma", options: ["tied"], parts: ["tokens"] });
await compare({ architecture: "phi3", type: "q4_0", tokenizer: "phi3", parts: ["tokens"] });
for (const architecture of ["llama", "qwen2"])
  for (const type of TYPES)
    await compare({ architecture, type, tokenizer: architecture === "qwen2" ? "qwen2" : "spm",
      options: type === "q8_0" ? ["tied"] : [] });
for (const row of ARCHITECTURES)
  for (const type of ["f32", "q8_0", "q4_k"])
    await compare({ ...row, type });
console.log(failures === 0 ? "all equal within the band" : `${failures} differ`);
process.exit(failures === 0 ? 0 : 1);
