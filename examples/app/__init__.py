"""Two workers in one process: `ltq run --app examples.app.main:app`."""
