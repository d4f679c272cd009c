"""Who gets mails."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from .outbox import DOMAIN

# A name stands in headers of mails.
validate_one_line = RegexValidator(r"\A[^\x00-\x1f\x7f\u2028\u2029]*\Z", _("Enter one line of text."))


class Person(models.Model):
    """Somebody who gets mails."""

    name = models.CharField(_("name"), max_length=100, validators=[validate_one_line])
    email = models.EmailField(_("e-mail address"), unique=True)

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"

    @staticmethod
    def invent(count: int) -> None:
        """Make up so many people, beside those there are."""
        first = Person.objects.filter(email__endswith=f"@people.{DOMAIN}").count() + 1
        numbers = range(first, first + count)
        people = [Person(name=f"Person {each}", email=f"person{each}@people.{DOMAIN}") for each in numbers]
        Person.objects.bulk_create(people, ignore_conflicts=True)
