"""`manage.py continuations`: what it reads, and how it tells. The verbs are the model's."""
