"""Flask: a request that waits a little for its task, and one that asks for it later.

    ltq run examples.flask_app:worker                # in one terminal
    flask --app examples.flask_app run               # in another

    curl -d number=600851475143 'http://127.0.0.1:5000/factors?wait=2'
    curl http://127.0.0.1:5000/factors/ID

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379.
"""

import time

from flask import Flask, Response, jsonify, request, url_for

import ltq

worker = ltq.Worker("factors")
app = Flask(__name__)


@worker.task(timeout=60)
def factorize(number: int) -> list[int]:
    """The prime factors of a number."""
    factors, divisor = [], 2
    time.sleep(0.1)  # stands in for more work
    while number > 1 and divisor * divisor <= number:
        if ltq.current().is_over:  # timed out or cancelled: a thread has to stop itself
            break
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


@app.post("/factors")
def send() -> tuple[Response, int]:
    """Send a number. With `?wait=SECONDS` the answer has the result, if it comes in time."""
    handle = factorize.send_sync(request.form.get("number", type=int) or 1)
    wait = min(max(0.0, request.args.get("wait", 0.0, type=float)), 10.0)  # "nan" is 0 then
    try:
        return jsonify(id=handle.id, factors=handle.result(timeout=wait)), 200
    except ltq.ResultTimeoutError:
        return jsonify(id=handle.id, url=url_for("show", number_id=handle.id)), 202
    except ltq.TaskError as error:
        return jsonify(id=handle.id, error=str(error)), 500


@app.get("/factors/<number_id>")
def show(number_id: str) -> tuple[Response, int]:
    """The state of a number. This process needs only the id."""
    try:
        state = factorize.handle_sync(number_id).state()
    except ltq.TaskNotFoundError as error:
        return jsonify(error=str(error)), 404
    return jsonify(status=state.status, factors=state.result, error=state.error), 200
