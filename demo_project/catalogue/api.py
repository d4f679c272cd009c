"""The API of the catalogue, for `PullCatalogue` to ask. It fails at every n-th request, as its pull says."""

from __future__ import annotations

import time

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from .models import Pull
from .upstream import WrongTokenError, page

# Seconds that an answer takes, so that there is something to watch.
PACE = 0.15


@require_GET
@never_cache
def products(request: HttpRequest, pk: int) -> JsonResponse:
    """`{"products": [...], "next": token or null}` for `?token=`, which is empty for the first page.

    400 for a token that was never given out; 503 for every n-th request.
    """
    pull = get_object_or_404(Pull, pk=pk)
    token = request.GET.get("token", "")
    try:
        items, following = page(token, pages=pull.pages)
    except WrongTokenError as error:
        return JsonResponse({"error": str(error)}, status=400)
    time.sleep(PACE)
    if not pull.receive(token):
        return JsonResponse({"error": "Come back later."}, status=503, headers={"Retry-After": "1"})
    return JsonResponse({"products": items, "next": following})
