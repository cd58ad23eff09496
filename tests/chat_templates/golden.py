#!/usr/bin/env python3
"""Makes golden.json: what Python's jinja2 makes of the templates and snippets here, in the environment in which
transformers runs chat templates.

  golden.py                       writes golden.json
  golden.py --check [RENDER]      fails when golden.json is not what jinja2 says; with the program chat_template_render
                                  compares every case through it, too. Exit code 77 where jinja2 is not installed.
  golden.py --folder DIR RENDER   compares all DIR/*.jinja on the conversations here; for templates of other people
"""
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print("python3-jinja2 is not installed: not compared")
    sys.exit(77)

HERE = Path(__file__).resolve().parent
NOW = 1735787045  # 2025-01-02 03:04:05 UTC


class Generation(jinja2.ext.Extension):
    """{% generation %} of transformers marks text and changes nothing."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def environment():
    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(f)
    return env


def rendered(env, text, variables):
    """The text, or None when jinja2 cannot."""
    try:
        return env.from_string(text).render(**variables)
    except Exception:  # whatever Python says
        return None


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city.\nNow.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Its name, e.g. \"K\u00f6ln\""},
        "days": {"type": "integer", "enum": [1, 2, 3]}}, "required": ["city"]}}}]


def conversations():
    hello = [message("user", " Hi there! ")]
    long = [message("system", "Be brief."), message("user", "Why?"), message("assistant", " Because. "),
            message("user", "And <|im_end|> [/INST] \"quoted\" \u00e4\u6f22\U0001f600?\n")]
    thought = [message("user", "1+1?"), message("assistant", "<think>\nadd\n</think>\n\n2"), message("user", "sure?")]
    tool_use = [message("user", "Weather in K\u00f6ln?"),
                message("assistant", "", tool_calls=[call("get_weather", {"city": "K\u00f6ln", "days": 2})]),
                message("tool", "{\"sky\": \"grey\"}", tool_call_id="call00001", name="get_weather"),
                message("assistant", "Grey."), message("user", "Thanks")]
    wrong = [message("user", "a"), message("user", "b")]
    for name, messages, tools in [("hello", hello, None), ("long", long, None), ("thought", thought, None),
                                  ("tools", long, TOOLS), ("tool_use", tool_use, TOOLS), ("wrong", wrong, None),
                                  ("nothing", [], None)]:
        for prompt in [True, False]:
            yield f"{name}.{'open' if prompt else 'whole'}", {
                "messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt,
                "bos_token": "<s>", "eos_token": "</s>"}


def snippets():
    """Templates divided by lines of ----, each run with the variables below."""
    return (HERE / "snippets.txt").read_text().split("\n----\n")


VARIABLES = {
    "a": 7, "b": -2, "x": 2.5, "s": "Hello W\u00f6rld", "blank": "  pad \n", "empty": "", "no": None, "yes": True,
    "list": [3, 1, 2], "words": ["pear", "Apple", "fig"], "d": {"k": 1, "z": [1, {"q": None}], "items": "own"},
    "people": [{"name": "Ann", "age": 31}, {"name": "bob", "age": 5}, {"name": "Cy"}], "html": "<b>&'\"</b>",
    "lines": "one\ntwo\n\nthree\n", "big": 1234567890123, "tiny": 0.00001, "huge": 1e22, "one": 1.0,
}


def cases():
    env = environment()
    for path in sorted((HERE / "templates").glob("*.jinja")):
        for name, variables in conversations():
            text = path.read_text()
            yield {"name": f"{path.stem}.{name}", "template": text, "variables": variables,
                   "expected": rendered(env, text, variables)}
    for i, text in enumerate(snippets()):
        yield {"name": f"snippet {i}", "template": text, "variables": VARIABLES,
               "expected": rendered(env, text, VARIABLES)}


def golden_text():
    # Templates and variables once each, cases by their place: the file stays small.
    made = list(cases())
    templates = list(dict.fromkeys(case["template"] for case in made))
    variables = list(dict.fromkeys(json.dumps(case["variables"]) for case in made))
    rows = [{"name": case["name"], "template": templates.index(case["template"]),
             "variables": variables.index(json.dumps(case["variables"])), "expected": case["expected"]}
            for case in made]
    return json.dumps({"now": NOW, "templates": templates, "variables": [json.loads(v) for v in variables],
                       "cases": rows}, indent=0) + "\n"


def kith_says(program, template, variables):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t").write_text(template)
        (Path(folder) / "v").write_text(json.dumps(variables))
        done = subprocess.run([program, f"{folder}/t", f"{folder}/v", str(NOW)], capture_output=True)
    if done.returncode not in (0, 3):
        return f"exit code {done.returncode}: {done.stderr.decode()[-2000:]}", True
    return done.stdout.decode(errors="replace"), done.returncode != 0


def compare(program, made):
    """How many differ, each printed."""
    wrong = 0
    for case in made:
        text, failed = kith_says(program, case["template"], case["variables"])
        if failed if case["expected"] is None else (not failed and text == case["expected"]):
            continue
        wrong += 1
        print(f"{case['name']}: jinja2 {case['expected']!r}, kith {'fails: ' if failed else ''}{text!r}")
    return wrong


def main():
    arguments = sys.argv[1:]
    if not arguments:
        (HERE / "golden.json").write_text(golden_text())
        return 0
    if arguments[0] == "--folder":
        env = environment()
        made = [{"name": f"{path.stem}.{name}", "template": path.read_text(), "variables": variables,
                 "expected": rendered(env, path.read_text(), variables)}
                for path in sorted(Path(arguments[1]).glob("*.jinja")) for name, variables in conversations()]
        wrong = compare(arguments[2], made)
        print(f"{len(made)} compared ({sum(c['expected'] is None for c in made)} refused by jinja2), {wrong} differ")
        return 1 if wrong else 0
    if (HERE / "golden.json").read_text() != golden_text():
        print("golden.json is not what jinja2 says: run tests/chat_templates/golden.py")
        return 1
    return 1 if len(arguments) > 1 and compare(arguments[1], cases()) else 0


if __name__ == "__main__":
    sys.exit(main())
