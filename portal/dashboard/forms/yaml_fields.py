"""Form fields for YAML text: they parse with the safe loader, without aliases."""

import math
from typing import Any

import yaml
from django import forms

from portal.dashboard.forms.problems import text_area

YAML_BYTES = 512 * 1024


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """Reads what JSON can hold: keys and dates stay text, other YAML types are refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key must be plain text", key)
            key.tag = _TEXT
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        if "\0" in str(node.value):
            raise _refusal("a NUL character cannot be stored", node)
        return super().construct_scalar(node)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        number = self.construct_yaml_float(node)
        if not math.isfinite(number):
            raise _refusal("infinity and NaN are no JSON numbers", node)
        return number

    def refuse(self, node: yaml.Node) -> Any:
        raise _refusal(f"{node.tag} has no place in JSON", node)


def _read(text: str) -> list[Any]:
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            # A few lines of aliases expand to gigabytes.
            raise _refusal("aliases are not accepted", event)
    return list(yaml.load_all(text, Loader=_Loader))


_TEXT = "tag:yaml.org,2002:str"


def _refusal(problem: str, place: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, place.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_str)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
for _kind in ("binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.refuse)


class YamlField(forms.CharField):
    """Text whose cleaned value is the list of its documents."""

    def __init__(self, *, rows: int = 10, **options: Any) -> None:
        super().__init__(strip=False, widget=text_area(rows), **options)

    def clean(self, value: Any) -> list[Any]:
        text = super().clean(value)
        if len(text) > YAML_BYTES:
            raise forms.ValidationError("This is more than 512 kB")
        try:
            documents = _read(text)
        except yaml.YAMLError as error:
            raise forms.ValidationError(_sentence(error)) from None
        except (RecursionError, ValueError):
            raise forms.ValidationError(
                "This is nested too deeply, or holds a number out of range"
            ) from None
        return [document for document in documents if document is not None]


class YamlMapping(YamlField):
    """One YAML mapping; empty text is the empty mapping."""

    def clean(self, value: Any) -> dict[str, Any]:
        documents = super().clean(value)
        if not documents:
            return {}
        if len(documents) > 1 or not isinstance(documents[0], dict):
            raise forms.ValidationError("Give one mapping of names to values")
        return documents[0]


def as_yaml(*documents: Any) -> str:
    """The text that a YamlField reads back as these documents."""
    if not documents:
        return ""
    ordered = [_as_people_write(document) for document in documents]
    return yaml.dump_all(ordered, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def _as_people_write(document: Any) -> Any:
    """Kubernetes objects begin with apiVersion, kind, metadata; the database forgot that."""
    if not isinstance(document, dict):
        return document
    first = {key: document[key] for key in _FIRST if key in document}
    return first | document


_FIRST = ("apiVersion", "kind", "metadata")


class _Dumper(yaml.SafeDumper):
    """Text of several lines in block style, as people write it; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar(_TEXT, text, style=style)


_Dumper.add_representer(str, _block_text)


def _sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "cannot be read"
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"This is not YAML: {where}{problem}"
