#!/usr/bin/env python3
# tools/unicode_classes.py: writes src/infer/unicode_ranges.inc from Python's unicodedata: every code point that is a
# letter (L*), number (N*) or punctuation (P*), as ranges. Run it by hand when a newer Unicode is wanted:
#
#   python3 tools/unicode_classes.py > src/infer/unicode_ranges.inc
import sys
import unicodedata

CLASSES = {"L": "letter", "N": "number", "P": "punctuation"}
PER_LINE = 3


def ranges():
    start, current = 0, None
    for point in range(sys.maxunicode + 2):
        found = CLASSES.get(unicodedata.category(chr(point))[0]) if point <= sys.maxunicode else None
        if found != current:
            if current:
                yield start, point - 1, current
            start, current = point, found


def main():
    items = [f"{{0x{a:x}, 0x{b:x}, CharClass::{c}}}," for a, b, c in ranges()]
    print(f"// Unicode {unicodedata.unidata_version}; made by tools/unicode_classes.py, not edited by hand.")
    print("// clang-format off")
    for i in range(0, len(items), PER_LINE):
        print(" ".join(items[i : i + PER_LINE]))


main()
