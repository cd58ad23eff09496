# models/guide/tokenizer.py: byte-level BPE with the qwen2 pre-tokenizer: training, encoding, decoding.
#
# Standard library only. Token order: 256 byte tokens, merged tokens in merge order, then the special
# tokens. Text is split by the qwen2 rules, written out by hand in split_words() because Python's `re`
# has no \p{L}; merges never cross a word.

import unicodedata
from collections import Counter, defaultdict

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

WHITESPACE = set("\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(c) for c in range(0x2000, 0x200B)
}
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def byte_to_unicode():
    """GPT-2's printable stand-in for each byte, in the order of the first 256 token ids."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {b: chr(b) for b in printable}
    spare = 256
    for b in range(256):
        if b not in table:
            table[b] = chr(spare)
            spare += 1
    return table


BYTE_TO_CHAR = byte_to_unicode()
CHAR_TO_BYTE = {c: b for b, c in BYTE_TO_CHAR.items()}


def is_letter(char):
    return unicodedata.category(char)[0] == "L"


def is_number(char):
    return unicodedata.category(char)[0] == "N"


def is_symbol(char):
    return char not in WHITESPACE and not is_letter(char) and not is_number(char)


def run_end(text, start, accept):
    """The first index from start on whose character accept() refuses."""
    end = start
    while end < len(text) and accept(text[end]):
        end += 1
    return end


def word_end(text, i):
    """Where the word that starts at i ends: the alternatives of the qwen2 pattern, in their order."""
    for ending in CONTRACTIONS:
        if text[i : i + len(ending)].lower() == ending:
            return i + len(ending)
    if is_letter(text[i]):
        return run_end(text, i, is_letter)
    has_next = i + 1 < len(text)
    if not is_number(text[i]) and text[i] not in "\r\n" and has_next and is_letter(text[i + 1]):
        return run_end(text, i + 1, is_letter)
    if is_number(text[i]):
        return i + 1
    symbol_start = i + 1 if text[i] == " " and has_next and is_symbol(text[i + 1]) else i
    if is_symbol(text[symbol_start]):
        return run_end(text, run_end(text, symbol_start, is_symbol), lambda c: c in "\r\n")
    end = run_end(text, i, lambda c: c in WHITESPACE)
    last_newline = max(text.rfind("\n", i, end), text.rfind("\r", i, end))
    if last_newline >= 0:
        return last_newline + 1
    if end < len(text) and end - i > 1:
        return end - 1
    return end


def split_words(text):
    words = []
    i = 0
    while i < len(text):
        end = word_end(text, i)
        words.append(text[i:end])
        i = end
    return words


def to_symbols(word):
    return [BYTE_TO_CHAR[b] for b in word.encode("utf-8")]


def merge_symbols(symbols, pair):
    merged = []
    i = 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            merged.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged


def train_merges(texts, merge_count):
    """Byte-pair encoding: repeatedly join the most frequent neighbours (ties: smallest pair)."""
    word_counts = Counter(word for text in texts for word in split_words(text))
    words = [(to_symbols(w), n) for w, n in sorted(word_counts.items())]
    pair_counts = Counter()
    where = defaultdict(set)
    for index, (symbols, n) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pair_counts[pair] += n
            where[pair].add(index)
    merges = []
    while len(merges) < merge_count:
        best = min(pair_counts, key=lambda p: (-pair_counts[p], p))
        if pair_counts[best] < 2:
            break
        merges.append(best)
        for index in sorted(where[best]):
            symbols, n = words[index]
            for pair in zip(symbols, symbols[1:]):
                pair_counts[pair] -= n
            symbols = merge_symbols(symbols, best)
            words[index] = (symbols, n)
            for pair in zip(symbols, symbols[1:]):
                pair_counts[pair] += n
                where[pair].add(index)
        del pair_counts[best]
    return merges


class Tokenizer:
    """Encodes and decodes with a fixed list of merges; special tokens are only made by id."""

    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.tokens = list(BYTE_TO_CHAR[b] for b in sorted(BYTE_TO_CHAR, key=BYTE_TO_CHAR.get))
        self.tokens += [a + b for a, b in self.merges] + SPECIAL_TOKENS
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.cache = {}

    def encode_word(self, word):
        if word not in self.cache:
            symbols = to_symbols(word)
            while len(symbols) > 1:
                best = min(zip(symbols, symbols[1:]), key=lambda p: self.ranks.get(p, 1 << 30))
                if best not in self.ranks:
                    break
                symbols = merge_symbols(symbols, best)
            self.cache[word] = [self.ids[s] for s in symbols]
        return self.cache[word]

    def encode(self, text):
        return [i for word in split_words(text) for i in self.encode_word(word)]

    def encode_loosely(self, text, rng, skip):
        """Like encode, but each possible merge is passed over with probability `skip`: for training."""
        ids = []
        for word in split_words(text):
            symbols = to_symbols(word)
            while True:
                pairs = [p for p in zip(symbols, symbols[1:]) if p in self.ranks]
                pairs = [p for p in pairs if rng.random() >= skip]
                if not pairs:
                    break
                symbols = merge_symbols(symbols, min(pairs, key=self.ranks.get))
            ids += [self.ids[s] for s in symbols]
        return ids

    def decode(self, ids):
        text = [self.tokens[i] for i in ids if self.tokens[i] not in SPECIAL_TOKENS]
        return bytes(CHAR_TO_BYTE[c] for c in "".join(text)).decode("utf-8", "replace")

    def encode_chat(self, messages, open_answer=True):
        """ChatML: the same text as tokenizer.chat_template makes, as ids."""
        ids = []
        for message in messages:
            ids += [self.ids["<|im_start|>"]]
            ids += self.encode(message["role"] + "\n" + message["content"])
            ids += [self.ids["<|im_end|>"]] + self.encode("\n")
        if open_answer:
            ids += [self.ids["<|im_start|>"]] + self.encode("assistant\n")
        return ids
