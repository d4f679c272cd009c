"""Other tools that listen to `continuations.signals`. Nothing here is imported unless a project asks for it."""
