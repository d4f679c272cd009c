"""The catalogues: complete, compiled, made of what the source says, and in use."""

from __future__ import annotations

import ast
import gettext
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils.translation import override
from django.utils.translation.template import templatize

import continuations
from continuations.models import Continuation
from tests.admin import states
from tests.admin.pages import LIST, source_of, text_of

PACKAGE = Path(continuations.__file__).parent
LANGUAGES = ["de", "he"]

# How many strings each function takes, and whether the first is a context.
FUNCTIONS = {
    **dict.fromkeys(["_", "gettext", "gettext_lazy", "gettext_noop"], (False, 1)),
    **dict.fromkeys(["ngettext", "ngettext_lazy"], (False, 2)),
    **dict.fromkeys(["pgettext", "pgettext_lazy"], (True, 1)),
    **dict.fromkeys(["npgettext", "npgettext_lazy"], (True, 2)),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|%%|\{\w*\}")

each_language = pytest.mark.parametrize("language", LANGUAGES)

# Context, text, plural.
Key = tuple[str, str, str]


@dataclass
class Entry:
    """A message of a catalogue."""

    flags: str = ""
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return (self.texts.get("msgctxt", ""), self.texts["msgid"], self.texts.get("msgid_plural", ""))

    @property
    def translations(self) -> list[str]:
        return [text for name, text in self.texts.items() if name.startswith("msgstr")]


def folder(language: str) -> Path:
    return PACKAGE / "locale" / language / "LC_MESSAGES"


def entries(language: str) -> list[Entry]:
    """All of a .po file but its header."""
    found = []
    for block in (folder(language) / "django.po").read_text().strip().split("\n\n"):
        entry, name = Entry(), ""
        for line in block.splitlines():
            if line.startswith("#,"):
                entry.flags += line
            elif match := re.match(r"(msg\w+(?:\[\d\])?) ", line):
                name = match[1]
                entry.texts[name] = ast.literal_eval(line[match.end() :])
            elif line.startswith('"'):
                entry.texts[name] += ast.literal_eval(line)
        found.append(entry)
    return found[1:]


def compiled(language: str) -> gettext.GNUTranslations:
    with (folder(language) / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def in_source() -> set[Key]:
    """What the package marks for translation."""
    found: set[Key] = set()
    for path in PACKAGE.rglob("*.py"):
        found.update(marked(ast.parse(path.read_text())))
    for path in PACKAGE.rglob("*.html"):
        # What is no message, Django has blotted out with X.
        for call in re.findall(r"\b(?:_|n?p?gettext)\(.*?(?<=['\"])(?:,\s*count)?\s*\)", templatize(path.read_text())):
            found.update(marked(ast.parse(call)))
    return found


def marked(tree: ast.AST) -> Iterator[Key]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            continue
        has_context, count = FUNCTIONS[node.func.id]
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if len(texts) == has_context + count:
            yield (texts[0] if has_context else "", texts[has_context], texts[has_context + 1] if count == 2 else "")


@each_language
def test_a_catalogue_holds_the_messages_of_the_source_and_no_others(language: str) -> None:
    held = {entry.key for entry in entries(language)}
    # A catalogue holds a text once, with its plural if any use has one.
    plural = {key[:2] for key in held if key[2]}
    used = {key for key in in_source() if key[2] or key[:2] not in plural}
    assert held == used


@each_language
def test_every_message_is_translated_and_none_is_a_guess(language: str) -> None:
    found = entries(language)
    assert [entry.key for entry in found if not entry.translations or not all(entry.translations)] == []
    assert [entry.key for entry in found if "fuzzy" in entry.flags] == []


@each_language
def test_a_translation_keeps_the_placeholders(language: str) -> None:
    for entry in entries(language):
        _context, text, plural = entry.key
        expected = sorted(PLACEHOLDER.findall(plural or text))
        for translation in entry.translations:
            assert sorted(PLACEHOLDER.findall(translation)) == expected, (text, translation)


@each_language
def test_the_compiled_catalogue_says_what_the_text_says(language: str) -> None:
    catalogue = compiled(language)
    expected: dict[str | tuple[str, int], str] = {}
    for entry in entries(language):
        context, text, plural = entry.key
        name = f"{context}\x04{text}" if context else text
        if plural:
            expected |= {(name, index): translation for index, translation in enumerate(entry.translations)}
        else:
            expected[name] = entry.translations[0]
    found = {name: text for name, text in catalogue._catalog.items() if name}  # type: ignore[attr-defined]
    assert found == expected


@pytest.mark.parametrize(
    ("language", "n", "text"),
    [
        ("de", 1, "%s Schritt"),
        ("de", 0, "%s Schritte"),
        ("de", 21, "%s Schritte"),
        ("he", 1, "שלב %s"),
        ("he", 2, "%s שלבים"),
        ("he", 20, "%s שלבים"),
        ("he", 101, "%s שלבים"),
    ],
)
def test_a_number_chooses_the_plural_of_its_language(language: str, n: int, text: str) -> None:
    assert compiled(language).ngettext("%s step", "%s steps", n) == text


PAGES = {
    "de": {
        "list": ["Status", "Ausführungen", "fehlgeschlagen", "Ausgewählte Aufträge pausieren"],
        "detail": [
            "Was ist jetzt sicher?",
            "Warum hat er angehalten?",
            "Schritte",
            "Letzter Fehler",
            "Erneut versuchen",
        ],
    },
    "he": {
        "list": ["מצב", "הרצות", "נכשלה", "השהיית משימות שנבחרו"],
        "detail": ["מה בטוח לעשות עכשיו?", "מדוע נעצרה?", "שלבים", "שגיאה אחרונה", "ניסיון חוזר"],
    },
}


@pytest.mark.django_db
@each_language
@pytest.mark.parametrize("view", ["list", "detail"])
def test_a_page_of_the_admin_is_in_the_language_of_its_reader(admin_client: Client, language: str, view: str) -> None:
    row = states.failed()
    where = LIST if view == "list" else row
    with override(language):
        source, shown = source_of(admin_client, where), text_of(admin_client, where)
    assert f'lang="{language}" dir="{"rtl" if language == "he" else "ltr"}"' in source
    assert [text for text in PAGES[language][view] if text not in shown] == []
    assert [text for text in english_sentences() if text in shown] == []


def english_sentences() -> list[str]:
    """What is too long to be found by chance."""
    return [
        text
        for _context, text, _plural in in_source()
        if " " in text and len(text) > 12 and not PLACEHOLDER.search(text)
    ]


@pytest.mark.django_db
def test_the_command_line_answers_in_the_language_that_is_active() -> None:
    row: Continuation = states.failed()
    out = io.StringIO()
    with override("de"):
        call_command("continuations", "show", str(row.pk), stdout=out)
    assert "Nein: Er ist beendet." in out.getvalue()
    assert "Er ist fehlgeschlagen, in Schritt" in out.getvalue()
