"""Steps for postal addresses: `address.*`."""

import re
from typing import Any

from .text import AS_IT_IS, quoted, refusal, shaped, squashed

__all__ = ["components", "country_name", "one_line"]

_PARTS = ("street", "extra", "city", "region", "postal_code", "country")

_COMPONENTS = (
    "value",
    "route",
    "street_number",
    "subpremise",
    "locality",
    "admin_area_level_1",
    "postal_code",
    "country",
)

_COUNTRIES = {
    "AD": ("Andorra", "Andorra"),
    "AE": ("Emiratos Árabes Unidos", "United Arab Emirates"),
    "AR": ("Argentina", "Argentina"),
    "AT": ("Austria", "Austria"),
    "AU": ("Australia", "Australia"),
    "BE": ("Bélgica", "Belgium"),
    "BG": ("Bulgaria", "Bulgaria"),
    "BO": ("Bolivia", "Bolivia"),
    "BR": ("Brasil", "Brazil"),
    "CA": ("Canadá", "Canada"),
    "CH": ("Suiza", "Switzerland"),
    "CL": ("Chile", "Chile"),
    "CN": ("China", "China"),
    "CO": ("Colombia", "Colombia"),
    "CR": ("Costa Rica", "Costa Rica"),
    "CU": ("Cuba", "Cuba"),
    "CZ": ("Chequia", "Czechia"),
    "DE": ("Alemania", "Germany"),
    "DK": ("Dinamarca", "Denmark"),
    "DO": ("República Dominicana", "Dominican Republic"),
    "EC": ("Ecuador", "Ecuador"),
    "ES": ("España", "Spain"),
    "FI": ("Finlandia", "Finland"),
    "FR": ("Francia", "France"),
    "GB": ("Reino Unido", "United Kingdom"),
    "GR": ("Grecia", "Greece"),
    "GT": ("Guatemala", "Guatemala"),
    "HN": ("Honduras", "Honduras"),
    "HU": ("Hungría", "Hungary"),
    "IE": ("Irlanda", "Ireland"),
    "IT": ("Italia", "Italy"),
    "JP": ("Japón", "Japan"),
    "LU": ("Luxemburgo", "Luxembourg"),
    "MA": ("Marruecos", "Morocco"),
    "MX": ("México", "Mexico"),
    "NL": ("Países Bajos", "Netherlands"),
    "NO": ("Noruega", "Norway"),
    "PA": ("Panamá", "Panama"),
    "PE": ("Perú", "Peru"),
    "PL": ("Polonia", "Poland"),
    "PT": ("Portugal", "Portugal"),
    "PY": ("Paraguay", "Paraguay"),
    "RO": ("Rumanía", "Romania"),
    "SE": ("Suecia", "Sweden"),
    "US": ("Estados Unidos", "United States"),
    "UY": ("Uruguay", "Uruguay"),
    "VE": ("Venezuela", "Venezuela"),
}

# A house number, perhaps after "nº"; then, after a separator, floor and door, or nothing.
_NUMBER = re.compile(
    r"(?<![^\s,])(?:(?:n[º°o]?\.?º?|n\.[º°]|n[úu]m\.?|n[úu]mero|#) ?)?"
    r"(?P<number>\d{1,4}(?:[-–/]\d{1,4}|[A-Z])?(?:"
    r" ?(?:bis|ter|dup\.?|duplicado)(?![^\W_]))?|s/ ?n\.?|s\.n\.)"
    r"(?![\wºª°])",
    re.IGNORECASE,
)
_TYPE = (
    r"(?:c/?|c\.|cl\.?|calle|carrer|av\.?|avd\.?|avda\.?|avenida|avinguda"
    r"|pl\.?|pza\.?|plaza|plaça|p[ºo]|paseo|passeig"
    r"|rda\.?|ronda|camino|cam[ií]|ctra\.?|crta\.?|carretera|traves[ií]a"
    r"|rambla|r[úu]a|glorieta|cuesta|callej[óo]n|urb\.?)"
)
_ONLY_TYPE = re.compile(rf"{_TYPE}(?: (?:del?|la|las|los|el))*", re.IGNORECASE)
_NUMBERED_STREET = re.compile(rf"{_TYPE} ?\d+", re.IGNORECASE)
# Words after which a number is not that of a house.
_NOT_A_HOUSE = re.compile(
    r"(?:.*[\s,.-])?(?:km|kil[óo]metro|p\.?k|apdo|apartado(?: de"
    r" correos)?|nave|naves|parcela|local|bloque|bl|portal"
    r"|edificio|edif|pol[ií]gono|pol|sector|manzana|fase|m[óo]dulo|puerta|pta"
    r"|piso|planta|oficina|of|esc|escalera"
    r"|despacho|cp|n|[a-z]{1,2}-?)\.?",
    re.IGNORECASE,
)
_WORD = (
    r"(?:piso|planta|puerta|pta|pt|escalera|esc|local|loc|oficina|ofic|of|despacho|desp|nave"
    r"|bloque|bl|blq|portal|bajos?"
    r"|bjo|entresuelo|entlo|ático|atico|principal|ppal|sótano|sotano|semisótano"
    r"|dcha|derecha|izda|izq|izquierda"
    r"|centro|ctro)(?![^\W_])"
)
_ORDINAL = r"\d{1,2} ?\.?[ºª°]"
_SURE = rf"(?:{_WORD}|{_ORDINAL})"
_DOOR = r"(?:\d{1,3} ?[A-Z]|\d{1,3}|[A-Z])(?![^\W_])"
_UNIT = re.compile(
    rf"(?:{_DOOR}[ ,.\-]*)?{_SURE}(?:[ ,.\-]*(?:{_SURE}|{_DOOR}))*[ .]*|\d{{1,2}}"
    r" ?[A-Z]",
    re.IGNORECASE,
)


def components(
    value: Any, *, language: str = "", shape: dict[str, str] = AS_IT_IS
) -> dict[str, Any] | None:
    """Build an address with its parts, as far as they are sure.

    The value is a dict with any of street, extra, city, region, postal_code and country. `value`
    in the result is the whole address on one line. A street that cannot be told apart with
    certainty stays whole in `route`. `language` (es, en) writes a country code out as its name.
    The other fields are street_number, subpremise, locality, admin_area_level_1, postal_code and
    country; `shape` names those of another destination, and which of these each holds:
    `{line: value, town: locality}`.

    ```yaml
    using: address.components
    ```
    `{"street": "Calle Mayor, 12"}` becomes
    `{"value": "Calle Mayor, 12", "route": "Calle Mayor", "street_number": "12"}`.
    """
    parts = _read(value, language)
    if not parts:
        return None
    result = {"value": _line(parts), **_street(parts.get("street", ""))}
    if not result.get("subpremise") and _UNIT.fullmatch(parts.get("extra", "")):
        result["subpremise"] = parts["extra"]
    result |= {
        "locality": parts.get("city", ""),
        "admin_area_level_1": parts.get("region", ""),
        "postal_code": parts.get("postal_code", ""),
        "country": parts.get("country", ""),
    }
    return (
        shaped(
            {name: text for name, text in result.items() if text},
            shape,
            _COMPONENTS,
        )
        or None
    )


def one_line(value: Any, *, language: str = "") -> str | None:
    """Write an address on one line.

    The value is a dict with any of street, extra, city, region, postal_code and country.
    `language` (es, en) writes a country code out as its name.

    ```yaml
    using: {address.one_line: es}
    ```
    `{"street": "Calle Mayor, 12", "city": "Alba", "postal_code": "37800", "country": "ES"}` becomes
    `"Calle Mayor, 12, 37800 Alba, España"`.
    """
    return _line(_read(value, language)) or None


def country_name(value: Any, *, language: str = "es") -> str | None:
    """Write a country code of two letters as the country's name; what is not known stays as it is.

    `language` is es or en.

    ```yaml
    using: {address.country_name: es}
    ```
    `"DE"` becomes `"Alemania"`.
    """
    if language not in ("es", "en"):
        raise ValueError(
            f"unknown language {quoted(language)}; known are es and en"
        )
    text = squashed(value)
    if text is None:
        return None
    spanish, english = _COUNTRIES.get(text.upper(), (text, text))
    return spanish if language == "es" else english


def _read(value: Any, language: str) -> dict[str, str]:
    """The parts that are given, each on one line."""
    if value is not None and not isinstance(value, dict):
        raise refusal(value, "is not a dict of address parts")
    unknown = [name for name in value or {} if name not in _PARTS]
    if unknown:
        raise ValueError(
            f"unknown address part {quoted(unknown[0])}; known are {', '.join(_PARTS)}"
        )
    parts = {
        name: text
        for name, given in (value or {}).items()
        if (text := squashed(given)) is not None
    }
    if language:
        written = country_name(parts.get("country"), language=language)
        return {**parts, "country": written} if written else parts
    return parts


def _line(parts: dict[str, str]) -> str:
    city = " ".join(
        parts[name] for name in ("postal_code", "city") if name in parts
    )
    region = parts.get("region", "")
    if region.casefold() == parts.get("city", "").casefold():
        region = ""
    shown = (
        parts.get("street"),
        parts.get("extra"),
        city,
        region,
        parts.get("country"),
    )
    return ", ".join(part for part in shown if part)


def _street(street: str) -> dict[str, str]:
    """Route, number and unit of a Spanish street line; the whole line as route where this is not
    sure.
    """
    for match in _NUMBER.finditer(street):
        route = street[: match.start()].rstrip(" ,-")
        rest = street[match.end() :].strip(" ,.-/")
        if _is_route(route) and (not rest or _UNIT.fullmatch(rest)):
            return {
                "route": route,
                "street_number": match["number"],
                "subpremise": rest,
            }
    return {"route": street}


def _is_route(text: str) -> bool:
    """Whether a house number may follow this text."""
    if not re.search(r"[^\W\d_]", text) or _ONLY_TYPE.fullmatch(text):
        return False
    if text[-1].isdigit():
        return _NUMBERED_STREET.fullmatch(text) is not None
    return _NOT_A_HOUSE.fullmatch(text) is None
