"""Names as concepts, across spelling and two languages."""

from __future__ import annotations

import pytest

from workbench.propose.profile import stem
from workbench.propose.words import kind, likeness, meaning, slug, split, state


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("legal-name", ("legal", "name")),
        ("legalName", ("legal", "name")),
        ("legal_name", ("legal", "name")),
        ("Código postal", ("codigo", "postal")),
        ("HTTPPath2", ("http", "path", "2")),
        ("qty", ("quantity",)),
        ("", ()),
    ],
)
def test_names_are_split_in_any_style(name: str, parts: tuple[str, ...]) -> None:
    """Hyphens, underscores, capitals, digits and accents part words; abbreviations are written out."""
    assert split(name) == parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("codigoPostal", "zip"),
        ("tax-identification-number", "NIF"),
        ("precio_unitario", "sellingPrice"),
        ("movil", "cell phone"),
        ("fecha-alta", "created_at"),
        ("razonSocial", "legal_name"),
        ("salesEstimates", "presupuestos"),
    ],
)
def test_same_things_in_other_words(one: str, other: str) -> None:
    """Names that mean the same are alike in any language and style."""
    assert likeness(meaning(one), meaning(other)) >= 0.75


@pytest.mark.parametrize(("one", "other"), [("phone", "email"), ("due-date", "validity-date"), ("price", "cost"), ("name", "city")])
def test_other_things_are_not_alike(one: str, other: str) -> None:
    """That two names are both of dates, or both of nothing much, makes them no pair."""
    assert likeness(meaning(one), meaning(other)) < 0.5


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Pendiente", "open"),
        ("Aceptada", "won"),
        ("Rechazado", "lost"),
        ("Cerrada", "done"),
        ("closed_lost", "lost"),
        ("En curso", "open"),
        ("In progress", "open"),
        ("PENDING", "open"),
        ("Pte. señal & firma", ""),
        ("", ""),
    ],
)
def test_states_are_known_by_their_word(value: str, said: str) -> None:
    """Either language, either gender, any case; what is not known says nothing."""
    assert state(value) == said


def test_kinds_are_known_by_their_word() -> None:
    """A visit is a meeting; what is not known says nothing."""
    assert [kind(value) for value in ("Llamada", "Visita", "phone call", "Revisión")] == ["call", "meeting", "call", ""]


@pytest.mark.parametrize(
    ("path", "name"),
    [("account-path", "account"), ("account_id", "account"), ("accountId", "account"), ("id", "id"), ("paid", "paid")],
)
def test_stem_of_a_link(path: str, name: str) -> None:
    """A link's name without what says that it is one; a word that only ends like it stays."""
    assert stem(path) == name


@pytest.mark.parametrize(
    ("name", "made"), [("Código postal", "codigo_postal"), ("2nd phone", "nd_phone"), ("---", "field"), ("日本", "field")]
)
def test_slugs_are_names_of_a_spec(name: str, made: str) -> None:
    """Whatever a platform calls its fields, the spec gets a name it allows."""
    assert slug(name) == made
