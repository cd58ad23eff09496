# models/guide/corpus.py: reads corpus/*.txt, makes training conversations with fresh variation.
#
# A corpus file is a list of facts:
#
#   [fact-id]
#   q: question | question            asked as written
#   what: noun phrase | noun phrase   "What is ...?" and other frames
#   are: plural noun phrase           "What are ...?" and other frames
#   how: verb phrase | verb phrase    "How do I ...?" and other frames
#   f: parent-id > question           asked right after the parent's question and answer
#   e: question | question            held out: for eval.py, never trained on
#   a: answer                         (indented lines continue it)
#
# [+fact-id] adds questions to a fact of an earlier file. corpus/offtopic.txt has categories instead of
# facts: frames ("t:"), what fills them ("x:"), held-out questions ("e:"), answers ("a:").

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

WHAT_FRAMES = """What is {}?|What is {}?|What's {}?|Explain {}.|Tell me about {}.|Can you explain {}?
What does {} mean?|Describe {}.|What exactly is {}?|I do not understand {}.|{}?|Define {}.
What do you know about {}?|what is meant by {}?|Please explain {} to me.|Give me a short explanation of {}.
I keep reading about {}. What is that?|what is {} for?|Somebody mentioned {}.|Help me understand {}.
I have a question about {}.|Why is there {}?|What can you tell me about {}?|{} explained
What should I know about {}?|I have never heard of {}.|Say something about {}.|How does {} work?""".replace("\n", "|").split("|")
ARE_FRAMES = """What are {}?|What are {}?|Explain {}.|Tell me about {}.|Can you explain {}?|Describe {}.
What exactly are {}?|I do not understand {}.|{}?|What do you know about {}?|what is meant by {}?
Please explain {} to me.|What are {} for?|Somebody mentioned {}.|Help me understand {}.
I have a question about {}.|What can you tell me about {}?|{} explained|What should I know about {}?
I have never heard of {}.|Which are {}?|Name {}.|List {}.""".replace("\n", "|").split("|")
HOW_FRAMES = """How do I {}?|How do I {}?|How can I {}?|How to {}?|How do you {}?|I want to {}.
What do I do to {}?|Which command do I use to {}?|What is the command to {}?|Tell me how to {}.
Can you show me how to {}?|I need to {}.|What is the way to {}?|Is there a way to {}?
How does one {}?|I would like to {}.|Can I {}?|how would i {}?|Explain how to {}.|{}?
What should I type to {}?|Please help me {}.|I am trying to {}.|I have to {}, how?
What steps do I take to {}?|Could you tell me how to {}?|My friend wants to {}.|We would like to {}.
I do not know how to {}.|What must I run to {}?|Is it possible to {}?|Am I able to {}?
What is the best way to {}?|Where do I {}?|I wish to {}, what do I enter?""".replace("\n", "|").split("|")
FRAMES = {"what": WHAT_FRAMES, "are": ARE_FRAMES, "how": HOW_FRAMES, "q": ["{}"]}

PREFIXES = """Hi, |Hello, |Hey, |Please tell me: |Quick question: |So, |Ok, |And |I have a question: |Sorry, 
Well, |One more thing: |Now, |Just curious, |Hi! |Hello! |I wonder: |Also, |Another question: |Thanks. 
Ok so |Right, |Good. |Tell me: |Can you tell me: |Excuse me, |Help: |I am new here. |Maybe you know: 
Actually, |Hm, |My question is: |I would like to know: |Could you tell me: |Someone asked me: |Dear guide, 
Sorry if this is a silly question: |Let me ask: |Before I forget: |In kith, |About kith: |With kith, 
I have been wondering: |Not sure you know this: |For a friend: |Last question: |First of all, """
PREFIXES = PREFIXES.replace("\n", "|").split("|")
SUFFIXES = """ Thanks.| please| Please explain.| Thank you.| I am new to this.| In short, please.| in kith
 with kith| (I am a beginner)| exactly| ?| Please be brief.| then| here| again| Any idea?| Do you know?
 I could not find it.| That is not clear to me.| My friend wants to know.| I am curious.| in my swarm
 on my machine| in this program| Can you explain?| Just asking.| actually| at all| today""".replace("\n", "|")
SUFFIXES = SUFFIXES.split("|")

SYNONYMS = """machine computer box device host pc laptop
machines computers boxes devices hosts
start launch begin
create make generate produce
see read view observe look-at
show display print give
friend colleague person somebody
friends people others colleagues
need require want
needs requires wants
error failure problem message
big large huge
stop quit end
remove delete drop
get obtain receive
let allow permit
protect secure hide
protected secured hidden safe
happens occurs
explain describe clarify
possible feasible
use utilise employ
need must should
question request query
document text file
several many multiple
part piece
quick fast rapid
check verify find-out
works functions
secret private confidential
hidden invisible secret
told informed
keep store save
kept stored saved
where in-what-place
which what
purpose point goal
default standard normal
someone somebody anyone
"""
DECLINE_SHARE = 0.2  # of all questions
STOP_WORDS = set("the a an do does is are to of in on my me i it that this please can for with".split())


@dataclass
class Fact:
    name: str
    answer: str = ""
    questions: list = field(default_factory=list)
    held_out: list = field(default_factory=list)
    follow_ups: list = field(default_factory=list)


@dataclass
class Category:
    """A kind of question that the guide declines: frames, what fills them, and the answers."""

    name: str
    frames: list = field(default_factory=list)
    fillers: list = field(default_factory=list)
    held_out: list = field(default_factory=list)
    answers: list = field(default_factory=list)

    def question(self, rng):
        return re.sub(r"\{\}", lambda _: rng.choice(self.fillers), rng.choice(self.frames))


def split_bar(text):
    return [part.strip() for part in text.split("|") if part.strip()]


def capital(text):
    return text[:1].upper() + text[1:]


def read_records(path):
    """Yields (section, [(key, value)]), with continuation lines joined."""
    section, lines = None, []
    for raw in path.read_text().splitlines():
        if not raw.strip() or raw.startswith("#"):
            continue
        if raw.startswith("["):
            if section:
                yield section, lines
            section, lines = raw.strip(), []
        elif raw[0] == " ":
            lines[-1] = (lines[-1][0], lines[-1][1] + " " + raw.strip())
        else:
            key, value = raw.split(":", 1)
            lines.append((key, value.strip()))
    if section:
        yield section, lines


def read_facts(corpus=CORPUS):
    facts = {}
    for path in sorted(corpus.glob("*.txt")):
        if path.name == "offtopic.txt":
            continue
        for section, lines in read_records(path):
            name = section.strip("[]")
            if name.startswith("+"):
                fact = facts[name[1:]]
            else:
                assert name not in facts, f"{path.name}: {name} twice"
                fact = facts[name] = Fact(name)
            for key, value in lines:
                add_line(fact, key, value)
            assert fact.answer and fact.questions, f"{path.name}: {fact.name} is incomplete"
    for fact in facts.values():
        assert all(parent in facts for parent, _ in fact.follow_ups), fact.follow_ups
    return facts


def add_line(fact, key, value):
    if key == "a":
        fact.answer = value
    elif key == "e":
        fact.held_out += split_bar(value)
    elif key == "f":
        parent, questions = value.split(">", 1)
        fact.follow_ups += [(parent.strip(), q) for q in split_bar(questions)]
    else:
        frames = FRAMES[key]
        phrases = split_bar(value)
        # Weights: a frame's share is limited so that written questions keep theirs.
        for phrase in phrases:
            share = 2.0 if key == "q" else 4.0
            fact.questions.append((share, [capital(f.replace("{}", phrase)) for f in frames]))


def read_categories(corpus=CORPUS):
    categories = []
    for section, lines in read_records(corpus / "offtopic.txt"):
        category = Category(section.strip("[]"))
        lists = {
            "t": category.frames,
            "x": category.fillers,
            "e": category.held_out,
        }
        for key, value in lines:
            if key == "a":
                category.answers.append(value)
            else:
                lists[key] += split_bar(value)
        categories.append(category)
    return categories


def read_blind():
    """[(fact id or DECLINE, question)]: written once, kept away from training and from tuning."""
    lines = (Path(__file__).parent / "eval_blind.tsv").read_text().splitlines()
    return [tuple(line.split("\t")) for line in lines]


def normal(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def synonym_table():
    table = {}
    for line in SYNONYMS.strip().splitlines():
        group = [w.replace("-", " ") for w in line.split()]
        for word in group:
            table.setdefault(word, []).extend(w for w in group if w != word)
    return table


class Variation:
    """Rewrites questions as people would type them: synonyms, fillers, lower case, typos."""

    def __init__(self, rng, forbidden):
        self.rng = rng
        self.synonyms = synonym_table()
        self.forbidden = forbidden

    def apply(self, question):
        for _ in range(8):
            varied = self.vary(question)
            if normal(varied) not in self.forbidden:
                return varied
        return question

    def vary(self, text):
        rng = self.rng
        text = self.swap_words(text)
        if rng.random() < 0.10:
            text = self.key_words(text)
        if rng.random() < 0.18:
            prefix = rng.choice(PREFIXES)
            keep = text[:2].isupper() or text[:2] in ("I ", "E ") or prefix[-2] in ".:!"
            text = prefix + (text if keep else text[:1].lower() + text[1:])
        if rng.random() < 0.10:
            suffix = rng.choice(SUFFIXES)
            text = text + suffix if suffix[1].isupper() else text.rstrip("?.") + suffix
            if not suffix[1].isupper() and rng.random() < 0.5:
                text += "?"
        if rng.random() < 0.30:
            text = text.lower()
        if rng.random() < 0.35:
            text = text.rstrip("?.!")
        if rng.random() < 0.20:
            text = self.misspell(text)
        return text

    def key_words(self, text):
        """Only some of the words that matter, now and then in another order."""
        words = [w.strip("?.,!") for w in text.split(" ")]
        kept = [w for w in words if w.lower() not in STOP_WORDS and self.rng.random() > 0.15]
        if self.rng.random() < 0.3:
            self.rng.shuffle(kept)
        return " ".join(kept) if len(kept) > 1 else text

    def swap_words(self, text):
        words = text.split(" ")
        out = []
        for word in words:
            core = word.strip("?.,!")
            if core in self.synonyms and self.rng.random() < 0.15:
                out.append(word.replace(core, self.rng.choice(self.synonyms[core])))
            elif core.lower() in STOP_WORDS and len(words) > 4 and self.rng.random() < 0.05:
                continue
            else:
                out.append(word)
        return " ".join(out) or text

    def misspell(self, text):
        rng = self.rng
        for _ in range(rng.choice((1, 1, 2))):
            spots = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i - 1].isalpha()]
            if not spots:
                return text
            i = rng.choice(spots)
            kind = rng.randrange(4)
            if kind == 0:
                text = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
            elif kind == 1:
                text = text[:i] + text[i + 1 :]
            elif kind == 2:
                text = text[:i] + text[i] + text[i:]
            else:
                text = text[:i] + rng.choice("abcdefghijklmnoprstuvwy") + text[i + 1 :]
        return text


class Conversations:
    """An endless, seeded source of conversations: lists of (question, answer, system or None)."""

    SYSTEMS = [
        "You are a helpful assistant.",
        "You are kith-guide, a small assistant that knows about kith.",
        "You answer questions about kith.",
        "You are a helpful assistant. Answer briefly.",
    ]

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.facts = read_facts()
        self.categories = read_categories()
        held = [q for f in self.facts.values() for q in f.held_out]
        held += [q for c in self.categories for q in c.held_out]
        held += [q for _, q in read_blind()]
        self.forbidden = {normal(q) for q in held}
        self.variation = Variation(self.rng, self.forbidden)
        for fact in self.facts.values():
            for _, forms in fact.questions:
                bad = [q for q in forms if normal(q) in self.forbidden]
                for q in bad:
                    forms.remove(q)
            fact.questions = [(s, forms) for s, forms in fact.questions if forms]

    def fact_question(self, fact):
        weights = [share for share, _ in fact.questions]
        forms = self.rng.choices(fact.questions, weights)[0][1]
        return self.variation.apply(self.rng.choice(forms))

    def decline(self):
        # The wide categories need more room, but not as much as they are wide.
        weights = [len(category.fillers) ** 0.5 for category in self.categories]
        category = self.rng.choices(self.categories, weights)[0]
        question = self.variation.apply(category.question(self.rng))
        return question, self.rng.choice(category.answers)

    def turns(self, fact):
        """One turn, or two when the fact has follow-up questions and the dice say so."""
        if fact.follow_ups and self.rng.random() < 0.14:
            parent, question = self.rng.choice(fact.follow_ups)
            first = self.facts[parent]
            question = self.variation.apply(capital(question))
            return [(self.fact_question(first), first.answer), (question, fact.answer)]
        return [(self.fact_question(fact), fact.answer)]

    def epoch(self):
        """Every fact three times in a new order, mixed with questions to decline."""
        pending = list(self.facts.values()) * 3
        self.rng.shuffle(pending)
        while pending:
            length = self.rng.choices((1, 2, 3, 4, 6), (94, 3, 2, 1, 0.5))[0]
            conversation = []
            while pending and len(conversation) < length:
                if self.rng.random() < DECLINE_SHARE:
                    conversation.append(self.decline())
                else:
                    conversation += self.turns(pending.pop())
            system = self.rng.choice(self.SYSTEMS) if self.rng.random() < 0.06 else None
            yield conversation, system
