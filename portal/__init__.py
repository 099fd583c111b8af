"""The shell: settings, URLs, ASGI, Celery, API root, dashboard and live consumers."""
