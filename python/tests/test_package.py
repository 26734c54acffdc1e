"""The package without PyTorch: checking, compiling, a client and a server, and what they refuse."""

import json
import shutil
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
from conftest import ROOT

import blindsight as bs

MODEL = str(ROOT / "models" / "lola-small-mnist.onnx")
FILES = ROOT / "crates" / "fit" / "tests" / "files"


def test_importing_needs_neither_torch_nor_onnx():
    said = "import sys, blindsight; print([m for m in ('torch', 'onnx', 'PIL', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_is_that_of_the_command_line():
    check = bs.check(MODEL)
    done = subprocess.run(
        [sys.executable, "-m", "blindsight", "check", MODEL, "--json"], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    measured = ("predicted_ms",)
    assert check.ok
    assert {k: v for k, v in check.document.items() if k not in measured} == {
        k: v for k, v in document.items() if k not in measured
    }
    assert "runs encrypted" in str(check)


def test_check_names_what_is_in_the_way_with_its_remedy():
    check = bs.check(str(FILES / "plain-relu.onnx"))
    assert not check.ok
    assert any("Relu" in problem.operator and "fit" in problem.remedy for problem in check.problems)


def test_a_whole_exchange(digits, pair, digit):
    client, server, keys = pair
    reply = server.infer(keys, client.encrypt(digit))
    answer = client.decrypt(reply)
    plain = digits.scores(digit)[0]
    assert np.abs(answer.scores - plain).max() < 8 * answer.predicted_error + answer.predicted_error
    assert answer.index == int(np.argmax(plain)) or answer.too_close
    assert answer.label == answer.top(1)[0][0] and len(answer.top(5)) == 5
    assert answer.margin > 0 and not answer.warnings


def test_pixels_floats_and_lists_are_one_input(pair, digit):
    client, server, keys = pair
    inputs = [digit, digit[None], digit / 255.0, (digit / 255.0).astype(np.float32), digit.tolist()]
    answers = [client.decrypt(server.infer(keys, client.encrypt(x)), exact=True) for x in inputs]
    assert all(np.abs(each.scores - answers[0].scores).max() < 6 * each.predicted_error for each in answers)


def test_exact_scores_are_finer(pair, digit):
    client, server, keys = pair
    reply = server.infer(keys, client.encrypt(digit))
    exact, rounded = client.decrypt(reply, exact=True), client.decrypt(reply)
    # Steps are 1, 2 or 5 times a power of ten, the first that is no finer than the error.
    assert np.abs(exact.scores - rounded.scores).max() <= 1.25 * rounded.predicted_error
    assert not np.array_equal(exact.scores, rounded.scores)


def test_a_secret_key_comes_back_and_is_never_overwritten(saved, pair, digit, tmp_path):
    client, server, keys = pair
    client.save_secret(tmp_path / "my.secret")
    again = bs.Client(saved[0], secret=tmp_path / "my.secret")
    assert again.decrypt(server.infer(keys, again.encrypt(digit))).label
    with pytest.raises(bs.DamagedError, match="never overwritten"):
        client.save_secret(tmp_path / "my.secret")


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((27, 28), np.uint8), "1 x 28 x 28"),
        (np.full((28, 28), np.nan), "finite"),
        (np.full((28, 28), 256), "0 to 255"),
        (np.full((28, 28), "a"), "numbers are expected"),
        ([], "1 x 28 x 28"),
    ],
)
def test_inputs_are_refused_with_figures(pair, x, said):
    with pytest.raises(bs.InputError, match=said):
        pair[0].encrypt(x)


def test_more_inputs_than_a_request_holds_are_refused(pair, digit):
    with pytest.raises(bs.InputError, match="expected 1 to 1"):
        pair[0].encrypt(np.stack([digit, digit]))


def test_values_out_of_range_are_clamped_and_said(pair, digit):
    client, server, keys = pair
    answer = client.decrypt(server.infer(keys, client.encrypt(digit / 255.0 * 3)))
    assert any("brought into that range" in warning for warning in answer.warnings)


def test_keys_and_replies_of_others_are_refused(saved, pair, digit):
    client, server, keys = pair
    other = bs.Client(saved[0])
    with pytest.raises(bs.DamagedError):
        server.infer(keys, other.encrypt(digit))
    with pytest.raises(bs.DamagedError):
        other.decrypt(server.infer(keys, client.encrypt(digit)))


def test_every_damaged_byte_range_is_refused(pair, digit):
    client, server, keys = pair
    request = client.encrypt(digit)
    reply = server.infer(keys, request)
    for place in [0, 5, 60, len(reply) // 2, len(reply) - 1]:
        damaged = bytearray(reply)
        damaged[place] ^= 1
        with pytest.raises(bs.DamagedError):
            client.decrypt(bytes(damaged))
    for bytes_of_none in [b"", b"x", request[:-1], request + b"x"]:
        with pytest.raises(bs.DamagedError):
            server.infer(keys, bytes_of_none)


def test_archives_of_another_kind_or_version_or_damaged_are_refused(saved, tmp_path):
    client, server = saved
    with pytest.raises(bs.DamagedError, match="blindsight client 1"):
        bs.Client(server)
    with pytest.raises(bs.DamagedError, match="blindsight server 1"):
        bs.Server(client)
    content = server.read_bytes()
    for name, damaged in {"cut": content[:-30], "none": b"none", "empty": b"", "flipped": flipped(content)}.items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(damaged)
        with pytest.raises(bs.BlindsightError):
            bs.Server(path)
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(newer, "w") as archive:
        archive.writestr("blindsight.json", '{"format": "blindsight client 2"}')
    with pytest.raises(bs.DamagedError, match="save it anew"):
        bs.Client(newer)
    with pytest.raises(FileNotFoundError):
        bs.Client(tmp_path / "missing.zip")


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def test_neither_file_holds_a_secret_and_the_clients_no_weights(saved):
    client, server = (zipfile.ZipFile(path).namelist() for path in saved)
    assert client == ["blindsight.json", "network.public"]
    assert server == ["blindsight.json", "network.onnx", "network.plan"]


def test_networks_that_are_none_are_refused():
    for none in [b"GIF89a", b"", 7, object()]:
        with pytest.raises(bs.ModelError):
            bs.compile(none)
    with pytest.raises(bs.ModelError, match="example"):
        bs.compile(type("Net", (), {"__module__": "torch.nn.modules"})())
    with pytest.raises(bs.ModelError, match="labels"):
        bs.compile(MODEL, labels=["one"])


def test_convert_fits_a_relu_network_of_a_file(drawn_digits):
    model, data = str(FILES / "plain-relu.onnx"), shifted(drawn_digits)
    poly = bs.convert(model, data, max_drop=5)
    assert poly.report["activations"] and poly.report["agree"] > 0.9
    compiled = bs.compile(poly, data, max_drop=5)
    assert "ms on one core" in str(compiled.explain())
    simulated = compiled.simulate(data)
    assert simulated.count == len(data[0]) and simulated.agree > 0.98 and simulated.accuracy is not None
    # What was normalised for calibration is taken as normalised by clients.
    assert compiled._floats_are_normalised


def test_bad_calibration_data_are_refused():
    model = str(FILES / "plain-relu.onnx")
    for bad, said in [
        (np.zeros((10, 27, 28)), "1 x 28 x 28"),
        (np.full((300, 28, 28), np.nan), "finite"),
        ([], "no data"),
        ((np.zeros((300, 28, 28)), np.zeros(299, int)), "299 labels"),
    ]:
        with pytest.raises(bs.InputError, match=said):
            bs.convert(model, bad)
    with pytest.raises(bs.BlindsightError, match="nowhere"):
        bs.convert(model, "nowhere")


@pytest.fixture
def drawn_digits(tmp_path):
    """The repository's drawn digits, as a folder of a folder for each class."""
    for digit in range(10):
        (tmp_path / "digits" / str(digit)).mkdir(parents=True)
        shutil.copy(ROOT / "samples" / f"digit-{digit}.png", tmp_path / "digits" / str(digit))
    return tmp_path / "digits"


def shifted(folder):
    """The images of a folder, normalised as MNIST is, in many places; and their classes."""
    network = bs.compile(MODEL).network().described([0.1307], [0.3081], None)
    rows, labels, names = network.samples(str(folder), 100, False)
    assert names == [str(digit) for digit in range(10)]
    places = [(down, right) for down in range(-3, 4) for right in range(-3, 4)]
    inputs = [np.roll(row.reshape(28, 28), place, (0, 1)) for place in places for row in rows]
    return np.array(inputs), np.array(labels * len(places))


def digits_like(count):
    """Strokes, normalised as MNIST is, of four directions."""
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[0:28, 0:28]
    labels = random.integers(4, size=count)
    inputs = []
    for label in labels:
        angle = label * np.pi / 4 + random.normal(0, 0.1)
        distance = np.abs((rows - 14) * np.cos(angle) - (columns - 14) * np.sin(angle) + random.normal(0, 2))
        inputs.append((np.clip(2.5 - distance, 0, 1) - 0.1307) / 0.3081)
    return np.array(inputs), labels


def test_progress_is_told_and_its_exceptions_come_through(tmp_path):
    saved = tmp_path / "client.zip", tmp_path / "server.zip"
    # The plan of the least latency has no keys.
    bs.compile(MODEL, objective="operations").save(*saved)
    told = []
    bs.Client(saved[0]).evaluation_keys(lambda done, total, what: told.append((done, total, what)))
    assert told[-1][0] == told[-1][1] and told[-1][2] == "making keys"

    def stop(done, total, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bs.Client(saved[0]).evaluation_keys(stop)


def test_other_threads_run_while_the_server_computes(pair, digit):
    client, server, keys = pair
    request, counted = client.encrypt(digit), 0
    stop = threading.Event()

    def count():
        nonlocal counted
        while not stop.is_set():
            counted += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    for _ in range(20):
        server.infer(keys, request)
    stop.set()
    thread.join()
    assert counted > 20


def test_explain_and_plot(digits, tmp_path):
    text = str(digits.explain())
    assert "128 bits of security" in text and "ring degree" in text
    digits.plot(tmp_path / "plan.svg")
    picture = (tmp_path / "plan.svg").read_text()
    assert picture.startswith("<svg") and picture.count("<rect") == 1 + len(digits.explain()["layers"])


def test_a_running_server_and_one_that_goes_away(serving, digit, tmp_path):
    process, url, token, fingerprint = serving
    with pytest.raises(bs.ServerError) as refused:
        bs.connect(url, "bst_" + "0" * 64, fingerprint=fingerprint, folder=tmp_path / "none")
    assert refused.value.code == "unauthorized"
    with pytest.raises(bs.ServerError):
        bs.connect(url, token, fingerprint="0" * 64, folder=tmp_path / "none")
    told = []
    folder = tmp_path / "keys"
    client = bs.connect(url, token, fingerprint=fingerprint, folder=folder, progress_of=lambda *all: told.append(all))
    answer = client.classify(digit)
    assert told and answer.label in client.labels
    again = bs.connect(url, token, fingerprint=fingerprint, folder=folder)
    assert np.array_equal(again.classify(digit).scores.argmax(), answer.scores.argmax())
    with pytest.raises(bs.InputError):
        client.classify(np.zeros((3, 3)))
    process.kill()
    process.wait()
    with pytest.raises(bs.ServerError):
        bs.connect(url, token, fingerprint=fingerprint, folder=folder, retry_for=1.0)
    with pytest.raises(bs.InputError, match="retry_for"):
        bs.connect(url, token, fingerprint=fingerprint, folder=folder, retry_for=-1.0)


def test_the_command_line_is_there():
    done = subprocess.run([sys.executable, "-m", "blindsight", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("blindsight ")
    done = subprocess.run([sys.executable, "-m", "blindsight", "explain", "none.onnx"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
    done = subprocess.run([sys.executable, "-m", "blindsight", "explain"], capture_output=True, text=True)
    assert done.returncode == 2 and "Usage" in done.stderr
