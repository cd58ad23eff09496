#!/usr/bin/env python3
"""Runs tools/layers on small made-up trees: each rule is seen to pass and to fail."""
import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("layers", str(Path(__file__).with_name("layers")))
SPEC = importlib.util.spec_from_loader("layers", LOADER)
layers = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(layers)

GOOD = {
    "src/base/CMakeLists.txt": "add_module(base\n  SOURCES bytes.cpp)",
    "src/base/bytes.h": "#pragma once\n",
    "src/base/bytes.cpp": '#include "base/bytes.h"\n',
    "src/wire/CMakeLists.txt": "add_module(wire SOURCES varint.cpp TESTS varint_test.cpp DEPENDS base)",
    "src/wire/varint.h": '#include "base/bytes.h"\n',
    "src/wire/varint.cpp": '#include "wire/varint.h"\n',
    "src/wire/varint_test.cpp": '#include "wire/varint.h"\n',
    "src/proto/noise/CMakeLists.txt": "add_module(proto_noise SOURCES noise.cpp DEPENDS wire)",
    "src/proto/noise/noise.h": "",
    "src/proto/noise/noise.cpp": '#include "wire/varint.h"\n',
    "src/proto/ping/CMakeLists.txt": "add_module(proto_ping SOURCES ping.cpp DEPENDS wire)",
    "src/proto/ping/ping.cpp": '#include "wire/varint.h"\n',
    "src/io/CMakeLists.txt": "add_module(io SOURCES tcp.cpp DEPENDS base)",
    "src/io/tcp.h": "",
    "src/io/tcp.cpp": '#include "base/bytes.h"\n',
    "src/app/CMakeLists.txt": "add_executable(kith main.cpp)\nadd_module(app SOURCES cli.cpp DEPENDS io)",
    "src/app/main.cpp": '#include "io/tcp.h"\n',
    "src/app/cli.cpp": '#include "io/tcp.h"\n',
    "tests/fuzz/CMakeLists.txt": "kith_fuzz(noise)\nadd_executable(x ${name}_fuzz.cpp)",
    "tests/fuzz/noise_fuzz.cpp": "",
}


class LayersTest(unittest.TestCase):
    def errors(self, **changes):
        files = dict(GOOD)
        files.update({path.replace("__", "/"): text for path, text in changes.get("files", {}).items()})
        for path in changes.get("without", []):
            del files[path]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in files.items():
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            return layers.check(root)

    def one(self, part, **changes):
        errors = self.errors(**changes)
        self.assertTrue(any(part in error for error in errors), f"expected '{part}' in {errors}")

    def test_a_tree_that_follows_the_rules_passes(self):
        self.assertEqual(self.errors(), [])

    def test_an_upward_include_fails(self):
        self.one("lower layers only", files={
            "src/base/bytes.cpp": '#include "wire/varint.h"\n',
            "src/base/CMakeLists.txt": "add_module(base SOURCES bytes.cpp DEPENDS wire)"})

    def test_an_include_of_the_same_layer_fails(self):
        self.one("lower layers only", files={
            "src/crypto/CMakeLists.txt": "add_module(crypto SOURCES a.cpp DEPENDS wire)",
            "src/crypto/a.cpp": '#include "wire/varint.h"\n'})

    def test_one_protocol_machine_cannot_include_another(self):
        self.one("never include each other", files={
            "src/proto/ping/CMakeLists.txt": "add_module(proto_ping SOURCES ping.cpp DEPENDS proto_noise)",
            "src/proto/ping/ping.cpp": '#include "proto/noise/noise.h"\n'})

    ROOMS = {
        "src/node/CMakeLists.txt": "add_module(node SOURCES node.cpp DEPENDS node_link node_peers)",
        "src/node/node.cpp": '#include "node/link/link.h"\n#include "node/peers/table.h"\n',
        "src/node/node.h": "",
        "src/node/link/CMakeLists.txt": "add_module(node_link SOURCES link.cpp DEPENDS base)",
        "src/node/link/link.h": "",
        "src/node/link/link.cpp": '#include "base/bytes.h"\n',
        "src/node/peers/CMakeLists.txt": "add_module(node_peers SOURCES table.cpp DEPENDS node_link)",
        "src/node/peers/table.h": "",
        "src/node/peers/table.cpp": '#include "node/link/link.h"\n',
    }

    def test_rooms_of_a_folder_include_lower_rooms(self):
        self.assertEqual(self.errors(files=self.ROOMS), [])

    def test_a_room_cannot_include_one_beside_it_or_above(self):
        self.one("lower rooms only", files={
            **self.ROOMS,
            "src/node/membership/CMakeLists.txt": "add_module(node_membership SOURCES a.cpp DEPENDS node_peers)",
            "src/node/membership/a.cpp": '#include "node/peers/table.h"\n'})
        self.one("src/node/peers/table.cpp: node/peers includes node: a room", files={
            **self.ROOMS,
            "src/node/peers/CMakeLists.txt": "add_module(node_peers SOURCES table.cpp DEPENDS node)",
            "src/node/peers/table.cpp": '#include "node/node.h"\n'})

    def test_a_room_that_the_table_does_not_name_fails(self):
        self.one("is a room that the table", files={
            **self.ROOMS,
            "src/node/attic/CMakeLists.txt": "add_module(node_attic SOURCES a.cpp)",
            "src/node/attic/a.cpp": ""})

    def test_only_app_names_io(self):
        self.one("only app, tests may name", files={
            "src/sim/CMakeLists.txt": "add_module(sim SOURCES a.cpp DEPENDS io)",
            "src/sim/a.cpp": '#include "io/tcp.h"\n'})

    def test_nothing_but_tests_names_sim(self):
        sim = {"src/sim/CMakeLists.txt": "add_module(sim SOURCES a.cpp DEPENDS base)",
               "src/sim/a.h": "", "src/sim/a.cpp": '#include "base/bytes.h"\n'}
        self.one("only tests may name", files={**sim,
            "src/app/CMakeLists.txt": "add_executable(kith main.cpp)\nadd_module(app SOURCES cli.cpp DEPENDS sim io)",
            "src/app/cli.cpp": '#include "io/tcp.h"\n#include "sim/a.h"\n'})
        self.assertEqual([], self.errors(files={**sim,
            "src/wire/CMakeLists.txt":
                "add_module(wire SOURCES varint.cpp TESTS varint_test.cpp DEPENDS base TEST_DEPENDS sim)",
            "src/wire/varint_test.cpp": '#include "sim/a.h"\n'}))

    def test_an_undeclared_include_fails(self):
        self.one("does not list in DEPENDS", files={
            "src/proto/ping/ping.cpp": '#include "wire/varint.h"\n#include "base/bytes.h"\n'})

    def test_a_declared_but_unused_module_fails(self):
        self.one("includes nothing of it", files={"src/proto/ping/ping.cpp": ""})

    def test_a_module_used_by_tests_only_belongs_to_test_depends(self):
        self.one("move it to TEST_DEPENDS", files={
            "src/wire/varint.h": "", "src/wire/varint_test.cpp": '#include "base/bytes.h"\n'})

    def test_an_undeclared_test_include_fails(self):
        self.one("nor in TEST_DEPENDS", files={"src/wire/varint_test.cpp": '#include "io/tcp.h"\n'})

    def test_a_cycle_inside_one_folder_fails(self):
        self.one("cycle: ", files={
            "src/io/CMakeLists.txt": "add_module(io SOURCES tcp.cpp DEPENDS base io_http)",
            "src/io/tcp.cpp": '#include "base/bytes.h"\n#include "io/http/http.h"\n',
            "src/io/http/CMakeLists.txt": "add_module(io_http SOURCES http.cpp DEPENDS io)",
            "src/io/http/http.h": "", "src/io/http/http.cpp": '#include "io/tcp.h"\n'})

    def test_a_source_that_no_target_lists_fails(self):
        self.one("no CMakeLists.txt lists", files={"src/wire/lost.cpp": ""})
        self.one("no CMakeLists.txt lists", files={"tests/fuzz/other_fuzz.cpp": ""})

    def test_an_unknown_folder_fails(self):
        self.one("does not name", files={"src/misc/CMakeLists.txt": "add_module(misc SOURCES a.cpp)",
                                         "src/misc/a.cpp": ""})

    def test_an_include_that_does_not_start_at_src_fails(self):
        self.one("does not exist below src/", files={"src/wire/varint.cpp": '#include "varint.h"\n'})

    def test_generated_headers_need_their_schema_module(self):
        files = {"schema/CMakeLists.txt": "add_library(kith_schema_wire x)",
                 "src/proto/ping/ping.cpp": '#include "wire/varint.h"\n#include "schema/wire.pb.h"\n'}
        self.one("includes module schema_wire", files=files)
        files["src/proto/ping/CMakeLists.txt"] = "add_module(proto_ping SOURCES ping.cpp DEPENDS wire schema_wire)"
        self.assertEqual([], self.errors(files=files))

    def test_long_files_fail_unless_excepted_and_only_while_needed(self):
        long = {"src/wire/varint.cpp": '#include "wire/varint.h"\n' + "\n" * 500}
        self.one("the limit is 500", files=long)
        self.one("the limit is 200", files={"src/wire/varint.h": '#include "base/bytes.h"\n' + "\n" * 200})
        line = "src/wire/varint.cpp {} 2026-01-31 a generated table of code points\n"
        self.assertEqual([], self.errors(files={**long, "tools/layers_exceptions.txt": line.format(501)}))
        self.one("exception allows 400", files={**long, "tools/layers_exceptions.txt": line.format(400)})
        self.one("no longer needed", files={"tools/layers_exceptions.txt": line.format(501)})
        self.one("expected: PATH", files={"tools/layers_exceptions.txt": "src/wire/varint.cpp forever\n"})
        self.one("does not exist", files={"tools/layers_exceptions.txt": line.format(501).replace("varint", "gone")})


if __name__ == "__main__":
    unittest.main()
