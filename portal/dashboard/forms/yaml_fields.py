"""Form fields for YAML text: they parse with the safe loader, without aliases."""

from typing import Any

import yaml
from django import forms

from portal.dashboard.forms.problems import text_area

YAML_BYTES = 512 * 1024


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """Refuses aliases: a few lines of them expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, "aliases are not accepted", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_yaml_timestamp(self, node: Any) -> Any:
        return self.construct_yaml_str(node)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


class YamlField(forms.CharField):
    """Text whose cleaned value is the list of its documents."""

    def __init__(self, *, rows: int = 10, **options: Any) -> None:
        super().__init__(strip=False, widget=text_area(rows), **options)

    def clean(self, value: Any) -> list[Any]:
        text = super().clean(value)
        if len(text) > YAML_BYTES:
            raise forms.ValidationError("This is more than 512 kB")
        try:
            documents = list(yaml.load_all(text, Loader=_Loader))
        except yaml.YAMLError as error:
            raise forms.ValidationError(_sentence(error)) from None
        except RecursionError:
            raise forms.ValidationError("This is nested too deeply") from None
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
    return (
        yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        if documents
        else ""
    )


class _Dumper(yaml.SafeDumper):
    """Text of several lines in block style, as people write it; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _block_text)


def _sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "cannot be read"
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"This is not YAML: {where}{problem}"
