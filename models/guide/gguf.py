# models/guide/gguf.py: reads and writes GGUF v3 files: metadata, F32 and Q8_0 tensors. numpy only.
#
# Layout: magic, version, counts; metadata (key, type, value); tensor infos (name, dims innermost first,
# type, offset); padding; tensor data, each tensor aligned. Everything little-endian.

import struct

import numpy as np

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
SCALARS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}
TYPE_F32, TYPE_Q8_0 = 0, 8
BLOCK = 32
BLOCK_BYTES = 2 + BLOCK


def quantise_q8_0(matrix):
    """Rows to blocks of 32: a float16 scale, then 32 int8."""
    blocks = matrix.astype(np.float32).reshape(-1, BLOCK)
    scale = np.abs(blocks).max(1) / np.float32(127)
    inverse = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0).astype(np.float32)
    values = np.rint(blocks * inverse[:, None]).astype(np.int8)
    out = np.empty((len(blocks), BLOCK_BYTES), np.uint8)
    out[:, :2] = scale.astype("<f2").view(np.uint8).reshape(-1, 2)
    out[:, 2:] = values.view(np.uint8)
    return out.tobytes()


def dequantise_q8_0(data, shape):
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    return (blocks[:, 2:].view(np.int8).astype(np.float32) * scale).reshape(shape)


def pack_string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    if kind == STRING:
        return pack_string(value)
    if kind == ARRAY:
        item_kind, items = value
        head = struct.pack("<IQ", item_kind, len(items))
        return head + b"".join(pack_value(item_kind, item) for item in items)
    return struct.pack(SCALARS[kind], value)


def pad(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def write(path, metadata, tensors):
    """metadata: [(key, type, value)]; tensors: [(name, float array)]; matrices become Q8_0."""
    head = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata))
    for key, kind, value in metadata:
        head += pack_string(key) + struct.pack("<I", kind) + pack_value(kind, value)
    body = bytearray()
    for name, array in tensors:
        kind = TYPE_Q8_0 if array.ndim == 2 else TYPE_F32
        dims = array.shape[::-1]
        head += pack_string(name) + struct.pack("<I", len(dims))
        head += struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, len(body))
        data = quantise_q8_0(array) if kind == TYPE_Q8_0 else array.astype("<f4").tobytes()
        body += pad(data)
    with open(path, "wb") as file:
        file.write(pad(head) + bytes(body))


class Reader:
    """Parses a whole file: .metadata {key: value}, .tensors {name: float32 array, dequantised}."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        assert self.take(4) == MAGIC and self.number("<I") == VERSION, "not a GGUF v3 file"
        tensor_count, key_count = self.number("<Q"), self.number("<Q")
        self.metadata = {}
        for _ in range(key_count):
            key = self.string()
            self.metadata[key] = self.value(self.number("<I"))
        infos = [self.tensor_info() for _ in range(tensor_count)]
        start = self.at + -self.at % ALIGNMENT
        self.tensors = {n: self.tensor(start + o, s, k) for n, s, k, o in infos}

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self):
        return self.take(self.number("<Q")).decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            item_kind, count = self.number("<I"), self.number("<Q")
            return [self.value(item_kind) for _ in range(count)]
        return self.number(SCALARS[kind])

    def tensor_info(self):
        name = self.string()
        dims = [self.number("<Q") for _ in range(self.number("<I"))]
        return name, tuple(dims[::-1]), self.number("<I"), self.number("<Q")

    def tensor(self, start, shape, kind):
        count = int(np.prod(shape))
        if kind == TYPE_F32:
            return np.frombuffer(self.data, "<f4", count, start).reshape(shape).copy()
        assert kind == TYPE_Q8_0, f"tensor type {kind}"
        size = count // BLOCK * BLOCK_BYTES
        return dequantise_q8_0(self.data[start : start + size], shape)
