"""The pages of the story about an approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from continuations import TransitionError
from continuations.models import Continuation

from ..stories.live import fragment
from .answers import Answer
from .forms import AnswerForm, PriceListForm
from .jobs import start
from .models import PriceList
from .request import Request
from .story import APPROVAL

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Listed on the first page.
RECENT = 10


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Hand prices in; below, what was handed in before."""
    form = PriceListForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("approvals:detail", start(form.price_list()).pk)
    context = {"story": APPROVAL, "form": form, "recent": PriceList.objects.all()[:RECENT]}
    return render(request, "approvals/home.html", context)


@require_safe
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One price list, and two buttons for whoever may say yes."""
    return _detail(request, get_object_or_404(PriceList, pk=pk), _answer_form(request))


@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of it that changes."""
    asked = Request(get_object_or_404(PriceList, pk=pk))
    return fragment(request, "approvals/_request.html", {"asked": asked}, etag=asked.etag)


@require_POST
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Yes or no. The first answer counts."""
    price_list = get_object_or_404(PriceList, pk=pk)
    form = _answer_form(request)
    if not form.is_valid():
        return _detail(request, price_list, form)
    given = Answer("approve" in request.POST, form.who)
    try:
        counts = price_list.answer(approved=given.approved, by=given.by)
    except (TransitionError, Continuation.DoesNotExist):
        messages.warning(request, _("Too late: it does not wait for an answer any more."))
    else:
        if counts == given:
            messages.success(request, _("Your answer is on its way to the job."))
        else:
            messages.warning(request, _("%(name)s has answered before, and that counts.") % {"name": counts.by})
    return redirect("approvals:detail", pk)


def _answer_form(request: HttpRequest) -> AnswerForm:
    return AnswerForm(request.POST or None, user_name=request.user.get_username())


def _detail(request: HttpRequest, price_list: PriceList, form: AnswerForm) -> HttpResponse:
    asked = Request(price_list)
    context = {"story": APPROVAL, "asked": asked, "progress": asked.progress, "form": form}
    return render(request, "approvals/detail.html", context)
