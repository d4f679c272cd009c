"""Users without a name: who they are is their address."""

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.db import models


class Person(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)
    is_active = True
    USERNAME_FIELD = "email"

    def get_short_name(self) -> str:
        return self.email
