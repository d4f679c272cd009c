"""The project of docs/django-tasks.md: Django's tasks and continuations side by side, made of the page's own code."""
