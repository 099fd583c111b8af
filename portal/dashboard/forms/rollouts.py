"""Starting, steering and rolling back: choices, a reason, and the typed name where it is due."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from deploy.models import Release
from fleet.models import Placement
from portal.dashboard.forms.problems import Fields


class ConfirmForm(Fields):
    """A reason, and the name of what would be hit when `name` is given."""

    reason = forms.CharField(required=False, max_length=500, help_text="Stands in the audit log")
    confirm = forms.CharField(max_length=200)

    def __init__(self, *args: Any, name: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.name = name
        if not name:
            del self.fields["confirm"]
            return
        self.fields["confirm"].label = f"Type {name} to confirm"
        self.fields["confirm"].widget.attrs |= {"autocomplete": "off", "data-must-be": name}

    def clean_confirm(self) -> str:
        given = self.cleaned_data["confirm"]
        if given != self.name:
            raise forms.ValidationError(f"This is not the name; type {self.name}")
        return given


class RollOutForm(ConfirmForm):
    """One release to one or more placements."""

    release = forms.ModelChoiceField(Release.objects.none(), empty_label=None)
    placements = forms.ModelMultipleChoiceField(
        Placement.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose where it goes"},
    )

    def __init__(
        self,
        *args: Any,
        releases: QuerySet[Release],
        placements: QuerySet[Placement],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.fields["release"].queryset = releases
        self.fields["placements"].queryset = placements


class RollBackForm(ConfirmForm):
    """An earlier release of one placement."""

    release = forms.ModelChoiceField(Release.objects.none(), empty_label=None, label="Return to")

    def __init__(self, *args: Any, releases: QuerySet[Release], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["release"].queryset = releases
