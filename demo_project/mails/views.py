"""The pages of the two stories about mails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from continuations import ContinuationError

from ..stories.live import fragment
from ..stories.views import VISITOR
from . import jobs
from .broadcast import Broadcast
from .chain import Chain
from .forms import NewsletterForm, SignUpForm
from .models import Newsletter, Person, SignUp
from .signups import DeliberateError
from .story import BULK, WELCOME

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

# Listed on the first page of each story.
RECENT = 10
# People that a button makes up, and how many there may be.
CROWD = 400
MOST_PEOPLE = 2000


@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """Sign somebody up; below, who did so before."""
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("mails:signed_up", jobs.sign_up(form.sign_up()).pk)
    recent = SignUp.objects.select_related("person")[:RECENT]
    return render(request, "mails/welcome.html", {"story": WELCOME, "form": form, "recent": recent})


@require_safe
@never_cache
def signed_up(request: HttpRequest, pk: int) -> HttpResponse:
    """One sign-up, and all jobs that follow it."""
    chain = Chain(get_object_or_404(SignUp.objects.select_related("person"), pk=pk))
    return render(
        request, "mails/signed_up.html", {"story": WELCOME, "chain": chain, "progress": chain.links[0].progress}
    )


@require_safe
def signed_up_live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of it that changes."""
    chain = Chain(get_object_or_404(SignUp.objects.select_related("person"), pk=pk))
    return fragment(request, "mails/_chain.html", {"chain": chain}, etag=chain.etag)


@require_POST
def run_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Run again what has failed, after mending its cause if that is wanted."""
    sign_up = get_object_or_404(SignUp, pk=pk)
    if "mend" in request.POST:
        sign_up.mend()
    for link in Chain(sign_up).broken:
        try:
            link.run_again(by=request.user.get_username() or VISITOR)
        except (DeliberateError, ContinuationError) as error:
            messages.error(request, _("It failed again: %(error)s") % {"error": error})
        else:
            messages.success(request, _("%(job)s runs again.") % {"job": link.name})
    return redirect("mails:signed_up", pk)


@require_http_methods(["GET", "HEAD", "POST"])
def bulk(request: HttpRequest) -> HttpResponse:
    """Write to everybody; below, what was written before."""
    form = NewsletterForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("mails:newsletter", jobs.start(form.newsletter()).pk)
    context = {"story": BULK, "form": form, "recent": Newsletter.objects.all()[:RECENT]}
    return render(request, "mails/bulk.html", {**context, "people": Person.objects.count(), "crowd": CROWD})


@require_POST
def invent(request: HttpRequest) -> HttpResponse:
    """Make people up."""
    count = min(CROWD, MOST_PEOPLE - Person.objects.count())
    if count > 0:
        Person.invent(count)
        text = ngettext("%(count)s person was made up.", "%(count)s people were made up.", count)
        messages.success(request, text % {"count": count})
    else:
        messages.warning(request, _("There are enough people already."))
    return redirect("mails:bulk")


@require_safe
@never_cache
def newsletter(request: HttpRequest, pk: int) -> HttpResponse:
    """One newsletter."""
    broadcast = Broadcast(get_object_or_404(Newsletter, pk=pk))
    return render(
        request, "mails/newsletter.html", {"story": BULK, "broadcast": broadcast, "progress": broadcast.progress}
    )


@require_safe
def newsletter_live(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The part of it that changes."""
    broadcast = Broadcast(get_object_or_404(Newsletter, pk=pk))
    return fragment(request, "mails/_broadcast.html", {"broadcast": broadcast}, etag=broadcast.etag)
