"""A small model that needs no network: it picks the sentences that say most, and makes up none."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WORD = re.compile(r"[^\W\d_]+")
# The commonest words of English with four letters or more. They say nothing about what a text is about.
STOP_WORDS = frozenset(
    WORD.findall(
        "about after again also another been before being between both could does doing down each even every from have "
        "having here into itself just like made make many more most much must never only other over said same should "
        "since some still such than that their them then there these they thing things this those through under until "
        "upon very want well were what when where which while whom whose will with without would your"
    )
)
# Letters of a word that counts; shorter ones are articles, pronouns and the like in most languages that part words.
SHORTEST = 4
# Words of a sentence. What is shorter is a heading, and what is longer is a table or text without full stops.
SENTENCE_LENGTHS = range(8, 60)
# White space behind closing punctuation, where something that may begin a sentence follows; or an empty line.
BOUNDARY = re.compile(r"""(?:(?<=[.!?…])|(?<=[.!?…]["'”’»)\]]))\s+(?=["'“‘«(\[]*[^\W_a-z])|\n\s*\n""")  # noqa: RUF001
# At the end of a line of running text, or of its last.
MARKS = frozenset(".!?…:;,")
# A heading is at most so long, as a share of the line below it: a line of running text is about as long.
HEADING = 0.7


def sentences_of(text: str) -> list[str]:
    """The sentences of `text`, each on one line; headings and tables are left out."""
    candidates = (" ".join(sentence.split()) for sentence in BOUNDARY.split(part_headings(text)))
    return [sentence for sentence in candidates if len(WORD.findall(sentence)) in SENTENCE_LENGTHS]


def part_headings(text: str) -> str:
    """`text` with an empty line after each heading: a PDF tells lines, but not what they are.

    A heading is taken to be a line without a punctuation mark at its end, followed by a longer one that begins with a
    capital letter.
    """
    lines = text.splitlines()
    for index, (line, following) in enumerate(pairwise(map(str.strip, lines))):
        if line and line[-1] not in MARKS and following[:1].isupper() and len(line) < HEADING * len(following):
            lines[index] += "\n"
    return "\n".join(lines)


def key_sentences(text: str, *, count: int) -> list[str]:
    """At most `count` sentences of `text`, in its order, whose words are the commonest in it.

    After SumBasic (Nenkova and Vanderwende, "The impact of frequency on summarization", 2005): a sentence is worth the
    mean probability of its words; once it is taken, theirs is squared, so that the next one tells something else. Takes
    time in proportion to `count` and the length of the text. Knows words by the spaces between them: of a text in
    Chinese or Japanese it returns nothing.
    """
    sentences = list(dict.fromkeys(sentences_of(text)))
    words = {sentence: content_words(sentence) for sentence in sentences}
    probabilities = frequencies(words.values())
    chosen: list[str] = []
    while len(chosen) < count:
        rest = [sentence for sentence in sentences if words[sentence] and sentence not in chosen]
        if not rest:
            break
        best = max(rest, key=lambda sentence: mean(words[sentence], probabilities))
        chosen.append(best)
        for word in set(words[best]):
            probabilities[word] **= 2
    return sorted(chosen, key=sentences.index)


def content_words(sentence: str) -> list[str]:
    words = (word.casefold() for word in WORD.findall(sentence))
    return [word for word in words if len(word) >= SHORTEST and word not in STOP_WORDS]


def frequencies(sentences: Iterable[list[str]]) -> dict[str, float]:
    counts = Counter(word for sentence in sentences for word in sentence)
    total = counts.total()
    return {word: count / total for word, count in counts.items()}


def mean(words: list[str], probabilities: Mapping[str, float]) -> float:
    return sum(probabilities[word] for word in words) / len(words)
