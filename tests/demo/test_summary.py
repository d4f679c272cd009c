"""The model that works offline."""

from __future__ import annotations

from demo_project.reports.documents import open_document
from demo_project.reports.sample import sample_pdf
from demo_project.reports.summary import key_sentences, part_headings, sentences_of

from .documents import SENTENCES

ABOUT_BEES = "Bees visit the flowers of the garden and carry pollen home to their bees."
ABOUT_HONEY = "Honey is what bees make of the nectar that flowers of the garden give."
ASIDE = "My uncle once drove a yellow tractor across Patagonia without stopping for lunch."


def test_a_summary_is_made_of_sentences_of_the_text_in_their_order():
    text = "\n\n".join(open_document(sample_pdf()))
    summary = key_sentences(text, count=6)
    assert len(summary) == 6
    places = [" ".join(text.split()).index(sentence) for sentence in summary]
    assert places == sorted(places)


def test_what_a_text_is_about_comes_before_an_aside():
    assert key_sentences(" ".join([ASIDE, ABOUT_HONEY, ABOUT_BEES]), count=1) == [ABOUT_BEES]


def test_a_sentence_that_was_said_before_is_not_taken_again():
    assert key_sentences(" ".join([ABOUT_BEES, ABOUT_BEES, ASIDE]), count=2) == [ABOUT_BEES, ASIDE]


def test_a_text_that_is_shorter_than_its_summary_may_be_is_returned_as_it_is():
    assert key_sentences(" ".join(SENTENCES), count=10) == SENTENCES


def test_a_text_without_sentences_has_an_empty_summary():
    assert key_sentences("", count=3) == []
    assert key_sentences("1 2 3\n4 5 6", count=3) == []
    assert key_sentences("long words here but only seven of them", count=0) == []


def test_quotes_and_abbreviations_do_not_cut_a_sentence_in_two():
    quoted = "“The harbour is closed for today,” said the captain, e.g. to the people waiting there."
    asked = "Was it open on the day before, or on any day of that week?"
    assert sentences_of(f"{quoted} {asked}") == [quoted, asked]


def test_sentences_run_over_the_ends_of_lines_and_headings_stand_alone():
    text = (
        "The ice road\nIn winter the islands are reached\nover the ice by a road that the\ntown maintains. It is short."
    )
    assert part_headings(text).startswith("The ice road\n\nIn winter")
    assert sentences_of(text) == [SENTENCES[2]]
