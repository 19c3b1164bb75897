"""The Django project: web pages, API, the MLflow gateway and the live layer. It may import everything below."""
