#!/usr/bin/env python3
"""Runs tools/tidy on small made-up trees: each rule is seen to fire, and not to fire on what looks alike."""
import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("tidy", str(Path(__file__).with_name("tidy")))
SPEC = importlib.util.spec_from_loader("tidy", LOADER)
tidy = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(tidy)

# rule, path, text that must be found, text that must not
CASES = [
    ("fixme", "docs/a.md", "FIX" + "ME later", "fixed"),
    ("todo", "src/base/a.h", "// TO" + "DO: later", "// TO" + "DO(#12): later"),
    ("ascii", "src/base/a.cpp", "auto a = \"\u00e9\";", "auto a = \"\\u00e9\";"),
    ("tab", "src/base/a.cpp", "\tint a;", "    int a;"),
    ("machine", "docs/a.md", "see /ho" + "me/anna/x", "${KITH}/home/x and ~/models/x"),
    ("temporary", "tests/a.cpp", "open(\"/t" + "mp/kith\")", "mkdtemp(\"/t" + "mp/kith.XXXXXX\")"),
    ("registry", "tests/a/package.json", "https://regis" + "try.npmjs.org/x", "https://example.org/x"),
    ("clock", "src/node/a.cpp", "std::chrono::steady_clock::now()", "base::Instant now"),
    ("clock", "src/node/a.cpp", "auto t = time(nullptr);", "auto t = deadline_time(nullptr);"),
    ("random", "src/node/a.cpp", "std::random_device d;", "rng.random();"),
    ("random", "src/node/a.cpp", "int a = rand();", "int a = operand();"),
    ("environment", "src/node/a.cpp", "std::getenv(\"A\")", "target_environment(\"A\")"),
    ("sleep", "src/node/a_test.cpp", "std::this_thread::sleep_for(1s);", "clock.after(1s);"),
    ("skipped", "src/node/a_test.cpp", "TEST_CASE(\"a\" * doctest::skip())", "TEST_CASE(\"a\")"),
    ("using", "src/node/a.h", "using namespace std;", "using std::string;"),
    ("library", "src/node/a.cpp", "#include <openssl/evp.h>", "#include \"crypto/ed25519.h\""),
    ("library", "src/node/a.cpp", "#include <sodium.h>", "// see <sodium.h>"),
]


def function(lines, head="int f(int a) {"):
    return head + "\n" + "    a;\n" * (lines - 2) + "}\n"


class TidyTest(unittest.TestCase):
    def errors(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in files.items():
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            return tidy.apply_exceptions(root, list(tidy.findings(root)))

    def test_each_rule_fires_on_what_it_is_for_and_on_nothing_like_it(self):
        for rule, path, bad, good in CASES:
            with self.subTest(rule=rule, text=bad):
                self.assertTrue(any(f"[{rule}]" in error for error in self.errors({path: bad})))
                self.assertEqual([], self.errors({path: good}))

    def test_the_edge_may_read_clock_chance_and_environment(self):
        text = "std::random_device d; std::chrono::steady_clock::now(); getenv(x);"
        self.assertEqual([], self.errors({"src/io/a.cpp": text, "src/app/a.cpp": text}))

    def test_a_large_file_fails_but_the_model_may_be_larger(self):
        self.assertEqual(1, len(self.errors({"docs/a.png": "x" * (1024 * 1024 + 1)})))
        self.assertEqual([], self.errors({"models/guide/a.gguf": "x" * (1024 * 1024 + 1)}))

    def test_a_function_of_71_lines_fails_and_one_of_70_does_not(self):
        self.assertEqual([], self.errors({"src/base/a.cpp": function(70)}))
        self.assertEqual(1, len(self.errors({"src/base/a.cpp": function(71)})))
        method = "namespace a {\nclass B {\n" + function(71, "    int c() const {") + "};\n}\n"
        self.assertEqual(1, len(self.errors({"src/base/a.cpp": method})))

    def test_a_long_class_namespace_or_table_is_no_function(self):
        self.assertEqual([], self.errors({"src/base/a.h": function(90, "class A {") + ";"}))
        self.assertEqual([], self.errors({"src/base/a.cpp": function(90, "namespace a {")}))
        self.assertEqual([], self.errors({"src/base/a.cpp": function(90, "constexpr int a[] = {")}))

    def test_braces_in_strings_and_comments_do_not_count(self):
        text = "int f() {\n    auto a = \"}\"; // }\n    auto b = '}';\n" + "    a;\n" * 70 + "}\n"
        self.assertEqual(1, len(self.errors({"src/base/a.cpp": text})))

    def test_an_exception_allows_so_many_and_no_more(self):
        bad = {"src/node/a.cpp": "getenv(a);\ngetenv(b);\n"}
        line = "environment src/node/a.cpp {} 2026-01-31 the reason why\n"
        self.assertEqual([], self.errors({**bad, "tools/tidy_exceptions.txt": line.format(2)}))
        self.assertEqual(2, len(self.errors({**bad, "tools/tidy_exceptions.txt": line.format(1)})))
        self.assertIn("shrink it", self.errors({**bad, "tools/tidy_exceptions.txt": line.format(3)})[0])


if __name__ == "__main__":
    unittest.main()
