// The measures of run.mjs: how far two rows of logits are apart, and whether both choose the same token.

// The best two of the reference have to be this many standard deviations of the difference apart, or nothing is
// asked of the choice: nearer ones may change places by rounding alone.
export const CLEAR_DEVIATIONS = 6;

// `mine`: logits by token id. `reference`: [id, probability] pairs (node-llama-cpp has no other form). Both sides as
// log-probabilities, centred, over the tokens whose probability is above 0.
//   nmse    sum of squared differences / sum of squares of the reference
//   count   tokens compared
//   gap     between the reference's best two, and
//   noise   the standard deviation of the difference, both in logits
//   clear   gap > CLEAR_DEVIATIONS * noise: the choice has to be the same
//   same    it is
export function compareRow(mine, reference) {
  const triples = [];
  for (const [id, probability] of reference)
    if (probability > 0) triples.push([id, mine[id], Math.log(probability)]);
  const count = triples.length;
  const mean = (k) => triples.reduce((sum, triple) => sum + triple[k], 0) / count;
  const [a, b] = [mean(1), mean(2)];
  let error = 0;
  let size = 0;
  for (const [, x, y] of triples) {
    error += (x - a - (y - b)) ** 2;
    size += (y - b) ** 2;
  }
  const best = (k) => triples.reduce((top, triple) => (triple[k] > top[k] ? triple : top));
  const chosen = best(2);
  const second = triples.reduce((top, triple) => (triple !== chosen && triple[2] > top ? triple[2] : top), -Infinity);
  const gap = chosen[2] - second;
  const noise = Math.sqrt(error / count);
  return { nmse: error / size, error, size, count, gap, noise, clear: gap > CLEAR_DEVIATIONS * noise,
    same: best(1)[0] === chosen[0] };
}

// All rows of a prompt: the nmse of all but the `strays` worst together, and of the rows whose choice is clear, those
// that differ (their indices; here no row is left out).
export function compareRows(rows, references, strays = 0) {
  const results = rows.map((row, i) => compareRow(row, references[i]));
  const kept = [...results].sort((a, b) => a.nmse - b.nmse).slice(0, results.length - strays);
  const sum = (key) => kept.reduce((total, result) => total + result[key], 0);
  const clear = results.map((result, i) => ({ ...result, i })).filter((result) => result.clear);
  return { nmse: sum("error") / sum("size"), rows: kept.length,
    count: Math.min(...results.map((result) => result.count)), clear: clear.length,
    differ: clear.filter((result) => !result.same).map((result) => result.i) };
}

// The measures themselves: a row whose best two change places has to be seen, though its nmse is within every band
// for quantised weights; the same of two that are nearer than the noise is not asked for. Returns what is wrong.
export function checkMeasures() {
  // 1000 spread logits, the best two `gap` apart, as the reference has them.
  const reference = (gap) => {
    const logits = Array.from({ length: 1000 }, (_, i) => Math.sin(i * 12.9898) * 3);
    logits[7] = 4 + gap;
    logits[8] = 4;
    const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
    return logits.map((x, i) => [i, Math.exp(x) / total]);
  };
  const logits = (pairs) => pairs.map(([, probability]) => Math.log(probability) + 2.5);
  const swapped = (row) => Object.assign([...row], { 7: row[8], 8: row[7] });
  const noisy = (row) => row.map((x, i) => x + 0.05 * Math.cos(i * 78.233));
  const wrong = [];
  const expect = (holds, what) => holds || wrong.push(what);
  const same = compareRows([logits(reference(0.5))], [reference(0.5)]);
  expect(same.nmse < 1e-20 && same.clear === 1 && same.differ.length === 0, "equal rows are equal");
  const other = compareRows([swapped(logits(reference(0.5)))], [reference(0.5)]);
  expect(other.nmse < 2e-3 && other.clear === 1 && other.differ.length === 1, "a clear choice that changed is seen");
  const near = compareRows([noisy(swapped(logits(reference(0.1))))], [reference(0.1)]);
  expect(near.clear === 0 && near.differ.length === 0, "nothing is asked of a choice within the noise");
  return wrong;
}
