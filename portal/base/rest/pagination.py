"""Pages of lists: `page` from 1, `page_size` up to 200; larger sizes are cut to 200."""

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request


class Pagination(PageNumberPagination):
    """Answers `{count, next, previous, results}`; a page that does not exist is 404."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit() and int(given[:9]) > 0):
            message = "Give a whole number above 0"
            raise ValidationError({self.page_size_query_param: [message]}, code="invalid")
        return min(int(given[:9]), self.max_page_size)
