"""TLS: verified always, with the system's authorities and the one that the site adds."""

import subprocess

import pytest

from support.promise import assert_kept
from support.waiting import wait_until


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path):
    """A private authority, and a certificate of it for 127.0.0.1 and one for another host."""
    folder = tmp_path / "tls"
    folder.mkdir()
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
            "-keyout", "ca.key", "-out", "ca.pem", cwd=folder)
    for name, host in (("good", "IP:127.0.0.1"), ("other", "DNS:elsewhere.example")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={host}\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", cwd=folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=folder)
    return folder


def put(agent, recordings, count=20):
    return [agent.put(path) for path in recordings.many(agent.root / "made", count)]


def test_uploads_go_over_tls_with_the_sites_own_authority(
        double_factory, agent_factory, recordings, authority):
    double = double_factory("--tls", authority / "good.pem", authority / "good.key")
    agent = agent_factory(double.url, chorus={"ca_file": str(authority / "ca.pem")})
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=20)
    assert_kept(double, agent, paths)


def test_doctor_tells_whose_word_proves_the_certificate(double_factory, agent_factory, authority):
    double = double_factory("--tls", authority / "good.pem", authority / "good.key", "--user", "team@example.com")
    agent = agent_factory(double.url, chorus={"ca_file": str(authority / "ca.pem")})
    said = agent.run("doctor", check=0).stdout
    assert f"ok      TLS: the certificate of 127.0.0.1 is proven by the system's authorities or those of {authority}" in said
    agent.configure(chorus={"ca_file": ""})
    done = agent.run("doctor", check=69)
    assert "TLS:" not in done.stdout and "certificate" in done.stdout and "ca_file" in done.stdout


@pytest.mark.parametrize("certificate, trusted", [("good", False), ("other", True)])
def test_nothing_is_sent_to_whom_cannot_be_verified(
        double_factory, agent_factory, recordings, authority, certificate, trusted):
    """An unknown authority, and a certificate for another host: told, and nothing leaves."""
    double = double_factory("--tls", authority / f"{certificate}.pem", authority / f"{certificate}.key")
    agent = agent_factory(double.url, **(
        {"chorus": {"ca_file": str(authority / "ca.pem")}} if trusted else {}))
    agent.start()
    put(agent, recordings, 3)
    wait_until(lambda: "event=unreachable" in agent.log(), "it is told", describe=agent.describe)
    agent.wait_counts(queued=3)
    assert "certificate" in agent.log()
    agent.stop()
    assert {row["attempts"] for row in agent.list()} == {0}
    assert double.posts() == []
