"""Live progress in a web page: `uvicorn examples.fastapi_app.main:app`."""
