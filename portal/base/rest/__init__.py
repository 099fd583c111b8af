"""REST plumbing that every room's API shares: parsing, problems, pages, strictness.

Named by the settings, so nothing here may import `rest_framework.views`; the base classes of the
views stand in `portal.base.rest.views`.
"""

from portal.base.rest.pagination import Pagination
from portal.base.rest.parsing import StrictJSONParser
from portal.base.rest.rendering import document, problem_response
from portal.base.rest.strict import Strict

__all__ = ["Pagination", "Strict", "StrictJSONParser", "document", "problem_response"]
