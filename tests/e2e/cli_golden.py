#!/usr/bin/env python3
"""The command line as a script sees it: help, exit codes, files and JSON, without network and without a daemon.

  cli_golden.py PATH_OF_KITH
"""
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

KITH = ""
COMMANDS = ["init", "create", "join", "login", "serve", "status", "peers", "nickname", "models", "run", "route", "invite",
            "identity", "model", "version"]
GROUPS = {"peers": ["pair", "forget", "kick"], "identity": ["rotate"], "invite": ["create", "list", "revoke"], "models": ["list", "add", "fetch", "drop"],
          "model": ["inspect", "tokenize", "logits", "bench", "shard", "synth"]}
TOKEN = "kith1" + "SECRET" * 8
SECONDS_MAX = 30


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="kith-cli-")
        self.addCleanup(self.folder.cleanup)
        self.directory = Path(self.folder.name) / "config"

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KITH_", "PROGRESSPALS_"))}
        if "KITH_SABOTAGE" in os.environ:
            kept["KITH_SABOTAGE"] = os.environ["KITH_SABOTAGE"]
        return kept | more

    def kith(self, *arguments, env=None, stdin=""):
        return subprocess.run([KITH, "--config-dir", str(self.directory), *arguments], input=stdin, text=True,
                              capture_output=True, timeout=SECONDS_MAX, env=self.environment(**(env or {})))

    def expect(self, code, *arguments, **options):
        result = self.kith(*arguments, **options)
        self.assertEqual(result.returncode, code, f"kith {' '.join(arguments)}\n{result.stdout}{result.stderr}")
        return result

    def write_config(self, text, mode=0o600):
        self.directory.mkdir(mode=0o700, exist_ok=True)
        path = self.directory / "config.toml"
        path.write_text(text)
        path.chmod(mode)

    def test_help_names_every_command_and_each_teaches_an_example(self):
        text = self.expect(0, "--help").stdout
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} ")
            help_text = self.expect(0, command, "--help").stdout
            if command != "version":
                self.assertIn("Example:\n  ", help_text)
                self.assertIn(f"kith {command}", help_text)
        for group, members in GROUPS.items():
            text = self.expect(0, group, "--help").stdout
            for member in members:
                self.assertRegex(text, rf"(?m)^  {member} ")
                self.assertIn(f"kith {group} {member}", self.expect(0, group, member, "--help").stdout)

    def test_help_is_also_a_word_and_errors_name_the_help_that_fits(self):
        self.assertEqual(self.expect(0, "help").stdout, self.expect(0, "--help").stdout)
        self.assertEqual(self.expect(0, "help", "models", "add").stdout, self.expect(0, "models", "add", "--help").stdout)
        self.assertEqual(self.expect(2, "help", "frobnicate").returncode, 2)
        self.assertIn("no command 'identity frobnicate'; see: kith identity --help",
                      self.expect(2, "help", "identity", "frobnicate").stderr)
        self.assertIn("see: kith run --help", self.expect(2, "run", "m", "p", "--temperature", "3").stderr)
        self.assertIn("see: kith models add --help", self.expect(2, "models", "add").stderr)
        self.assertIn("see: kith --help", self.expect(2, "frobnicate").stderr)

    def test_p6_init_writes_a_private_configuration_and_no_key(self):
        self.expect(0, "init")
        self.assertEqual([path.name for path in self.directory.iterdir()], ["config.toml"])
        self.assertEqual(stat.S_IMODE((self.directory / "config.toml").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)
        before = (self.directory / "config.toml").read_text()
        self.assertFalse(json.loads(self.expect(0, "init", "--json").stdout)["created"])
        self.assertEqual((self.directory / "config.toml").read_text(), before)

    def test_usage_errors_exit_with_2_and_one_sentence(self):
        for arguments in [[], ["frobnicate"], ["create"], ["invite"], ["invite", "frobnicate"], ["status", "--frobnicate"],
                          ["models", "add"], ["models", "add", "/nowhere/model.gguf"],
                          ["models", "fetch", "m", "--shards", "2-1"], ["join"], ["login"],
                          ["invite", "revoke", "abc"], ["run", "m", "p", "--temperature", "3"],
                          ["invite", "create", "--never-expires", "--expires-hours", "1"], ["nickname"],
                          ["nickname", ""], ["nickname", "x" * 33], ["nickname", "a\u202eb"], ["nickname", "a\nb"],
                          ["peers", "forget"], ["peers", "pair"], ["peers", "kick"], ["peers", "kick", "abc"], ["identity"],
                          ["peers", "frobnicate"]]:
            with self.subTest(arguments=arguments):
                result = self.expect(2, *arguments)
                self.assertEqual(result.stdout, "")
                self.assertTrue(result.stderr.startswith("kith: "))
        self.assertIn("'frobnicate'", self.expect(2, "frobnicate").stderr)

    def test_p16_impossible_invites_are_refused_before_anything_happens(self):
        for uses in ["0", "-1", "10001", "NaN", "1.5", ""]:
            with self.subTest(uses=uses):
                self.expect(2, "invite", "create", f"--max-uses={uses}")
        for hours in ["0", "-1", "NaN", "inf", "1e308", "8760.1", "x", ""]:
            with self.subTest(hours=hours):
                self.expect(2, "invite", "create", f"--expires-hours={hours}")
        self.assertFalse(self.directory.exists())

    def test_without_a_daemon_the_commands_that_need_one_exit_with_69(self):
        for arguments in [["peers"], ["peers", "forget", "0123456789abcdef"], ["peers", "kick", "4f2a90c1"],
                          ["peers", "pair", "/ip4/192.0.2.7/tcp/8810"], ["route"], ["run", "guide", "Hello?"]]:
            with self.subTest(arguments=arguments):
                self.assertIn("kith serve", self.expect(69, *arguments).stderr)
        error = json.loads(self.expect(69, "peers", "--json").stdout)["error"]
        self.assertEqual(error["code"], "unavailable")
        self.assertFalse(self.directory.exists())

    def test_a_bad_configuration_exits_with_78_and_says_where(self):
        self.write_config("[inference]\nencrypted_pipelin = true\n")
        error = self.expect(78, "status").stderr
        self.assertIn("line 2", error)
        self.assertIn("inference.encrypted_pipeline", error)
        self.write_config("require_encryption = false\n")
        self.assertIn("unknown key", self.expect(78, "serve").stderr)
        for policy, said in [("open", "members, tofu, allow_list or allow_all"), ("allow_al", "allow_list")]:
            self.write_config(f'[trust]\npolicy = "{policy}"\n')
            self.assertIn(said, self.expect(78, "status").stderr)
        self.write_config('[trust]\nallow_list = ["0123456789abcdef"]\n')
        self.assertIn("no whole id", self.expect(78, "status").stderr)
        self.write_config("[api]\nport = 1\n", mode=0o644)
        self.assertIn("chmod 600", self.expect(78, "status").stderr)
        self.write_config("")
        self.expect(78, "status", env={"KITH_API_PORT": "many"})

    def test_json_is_one_document_also_for_errors(self):
        self.assertIn("version", json.loads(self.expect(0, "version", "--json").stdout))
        self.assertEqual(json.loads(self.expect(2, "join", "--json").stdout)["error"]["code"], "invalid")

    def test_p21_a_token_is_not_left_in_arguments_or_environment(self):
        # Without a prompt, run waits for one on standard input: long enough to look at the process.
        process = subprocess.Popen([KITH, "--config-dir", str(self.directory), "run", TOKEN], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=self.environment(KITH_INVITE_TOKEN=TOKEN, PROGRESSPALS_INVITE_TOKEN=TOKEN))
        try:
            proc = Path("/proc") / str(process.pid)
            deadline = time.monotonic() + SECONDS_MAX
            while not self.waits_for_input(proc) and time.monotonic() < deadline:
                self.assertIsNone(process.poll(), "kith ended before it read its input")
            self.assertTrue(self.waits_for_input(proc), "kith never read its input")
            for name in ["cmdline", "environ"]:
                self.assertNotIn(b"SECRET", (proc / name).read_bytes(), name)
        finally:
            process.stdin.close()
            process.wait(SECONDS_MAX)

    @staticmethod
    def waits_for_input(proc):
        # "0 0x0 ...": read(2) of descriptor 0 on x86-64; 63 on arm64.
        words = (proc / "syscall").read_text().split()
        return len(words) > 1 and words[0] in ("0", "63") and words[1] == "0x0"

    def test_p21_a_token_in_the_arguments_is_warned_about_and_never_repeated(self):
        result = self.kith("join", TOKEN)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("KITH_INVITE_TOKEN", result.stderr)
        self.assertNotIn("SECRET", result.stdout + result.stderr)

    def test_a_token_is_read_from_the_environment_a_file_or_standard_input_without_warning(self):
        token_file = Path(self.folder.name) / "token"
        token_file.write_text(TOKEN)
        token_file.chmod(0o600)
        for options in [{"env": {"KITH_INVITE_TOKEN": TOKEN}}, {"env": {"PROGRESSPALS_INVITE_TOKEN": TOKEN}},
                        {"stdin": TOKEN + "\n", "more": ["-"]}, {"more": ["--token-file", str(token_file)]}]:
            with self.subTest(options=options):
                more = options.pop("more", [])
                result = self.kith("login", *more, **options)
                self.assertNotIn(result.returncode, [0, 2])  # read, then refused: it is no real invite
                self.assertNotIn("warning", result.stderr)
                self.assertNotIn("SECRET", result.stdout + result.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    KITH = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=2)
