"""Reads and searches the memory of another process, as a core file of it would be searched."""
import re

REGION_BYTES_MAX = 1024 * 1024 * 1024  # larger mappings are a sanitizer's reserved shadow


def memory_of(pid):
    """The readable memory of a process, region by region."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (r)", line)
            if not match or "[v" in line:
                continue
            start, end = int(match[1], 16), int(match[2], 16)
            if end - start > REGION_BYTES_MAX:
                continue
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
