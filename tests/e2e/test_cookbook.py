"""The cookbook: every recipe gives its own dialer's names to the right person, holds what it cannot know, and never
names a wrong one, not even for names of another scheme and tables that would tempt it."""

import json
import re
from pathlib import Path

import pytest

from support.waiting import wait_until

COOKBOOK = Path(__file__).parents[2] / "packaging" / "cookbook"
RECIPES = sorted(path.name for path in COOKBOOK.glob("*.yaml"))

#: name: (recipe, whose call it is as that recipe's tables know him), or None where the name alone does not say.
NAMES = {
    "20051020-103108_6666-all.mp3": ("vicidial-agent", "6666"),
    "2026/11/24/20261124-090000_0066-all.mp3": ("vicidial-agent", "0066"),
    "20261124-090001_john.doe.wav": ("vicidial-agent", "john.doe"),
    "20261124-090001_Maria-Lopez-all.ogg": ("vicidial-agent", "maria-lopez"),
    "20261124-090002_100123-all.mp3": ("vicidial-agent", "100123"),
    "20261124-090002_6667-all.WAV": ("vicidial-agent", "6667"),
    "20261124-090003_VDAD-all.mp3": None,
    "20261124-090003_john_doe-all.mp3": ("vicidial-phone", "john_doe"),
    "20241024-115453_5550370652-all.mp3": ("vicidial-phone", "6666"),
    "20261124-115453_15550370652.mp3": ("vicidial-phone", "6667"),
    "20261124-115454_5550371-all.mp3": ("vicidial-phone", "6668"),
    "TESTCAMP_51020103108_3125551212-all.mp3": ("vicidial-phone", "6669"),
    "SALES_TN_61124090000_15555550100-all.mp3": ("vicidial-phone", "agent001"),
    "20261124-115455_5550379999-all.mp3": None,
    "20260318-140532_5551234567_agent001-all.mp3": ("vicidial-phone-agent", "agent001"),
    "20260318-140533_5551234567_0066.wav": ("vicidial-phone-agent", "0066"),
    "20260318-140534_100123_5551234567-all.mp3": None,
    "20260318-140535_5551234567_john_doe-all.mp3": ("vicidial-phone", "john_doe"),
    "20240711-123422_5555344432_2032_2636490-all.mp3": ("vicidial-phone-agent-lead", "2032"),
    "20261124-123422_15555344432_jane_77-all.mp3": ("vicidial-phone-agent-lead", "jane"),
    "20260615-101240_FEDEX_TN_FEDEX_zahidul_8801555351410-all.mp3": ("vicidial-campaign-agent-phone", "zahidul"),
    "20260615-101241_SALES_AGENTDIRECT_6666_5555351410-all.mp3": ("vicidial-campaign-agent-phone", "6666"),
    "20260615-101242_SALES_5555351410-all.mp3": None,
    "20260615-101243_5551000_zahidul_8801555351410-all.mp3": None,
    "out-15555550123-412-20260926-143022-1727351422.9.wav": ("freepbx", "412"),
    "2026/09/26/out-+15555550123-0412-20260926-143022-pbx1-1727351422.9.wav": ("freepbx", "0412"),
    "external-403-15555554567-20260926-143022-1727351422.123.wav": ("freepbx", "403"),
    "exten-403-anonymous-20260926-143022-1727351423.123.mp3": ("freepbx", "403"),
    "out-15555550123-412-20260926-143023-1727351424.9.WAV": ("freepbx", "412"),
    "internal-1100-1101-20241117-164137-1731861697.2.wav": ("freepbx", "1100"),
    "q-400-15555554567-20260926-143022-1727351499.1.wav": ("freepbx", "403"),
    "rg-600-15555554567-20260926-143022-1727351500.1.wav": None,
    "force-412-15555554567-20260926-143022-1727351501.1.wav": None,
    "external-403-1-555-4567-20260926-143022-1727351422.123.wav": None,
    "pbx.example.com/archive/2026/Sep/26/0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9.wav": ("fusionpbx", "100@pbx.example.com"),
    "two.example.com/archive/2026/Sep/26/1b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9.mp3": ("fusionpbx", "100@two.example.com"),
    "two.example.com/archive/2026/Sep/26/2b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9.mp3": None,
    "[]_100-0555826436_20190211124709(2).wav": ("3cx", "100"),
    "[27555826436]_27555826436-100_20190211124743(3).wav": ("3cx", "100"),
    "100/[Ann Example]_100-0555826436_20190211124709(2).wav": ("3cx", "100"),
    "101/[Bob: sales]_100-101_20190211124709(4).wav": ("3cx", "101"),
    "100/[Bob: sales]_100-101_20190211124709(4).wav": ("3cx", "100"),
    "[Bob]_100-101_20190211124709(4).wav": None,
    "[Emergency]_100-112_20190211124709(5).wav": None,
    "101/[x]_0555826436-800_20190211124709(6).wav": None,
    "20251104-133555_302_(252)555-8686_Outgoing_Auto_2243071124051.mp3": ("ringcentral", "302"),
    "20251104-133556_0302_252-555-8686_Incoming_OnDemand_2243071124052.mp3": ("ringcentral", "0302"),
    "20251104-133557_(252)555-8686_Incoming_Auto_2243071124053.mp3": None,
}

#: Who took the call, where only an export knows it.
RECORDING_LOG = {re.sub(r"(-all)?\.\w+$", "", name): truth[1] for name, truth in NAMES.items()
                 if truth and truth[0].startswith("vicidial")}
ANSWERED = {"1727351499.1": "403"}
CALLS = {name.split("/")[-1].split(".")[0]: truth[1] for name, truth in NAMES.items()
         if truth and truth[0] == "fusionpbx"}

#: What lies beside a recording of genesys.yaml, and whose call that is; None: nobody's for sure.
ANN, BOB = {"purpose": "agent", "email": "ann@example.com"}, {"purpose": "agent", "email": "bob@example.com"}
CUSTOMER, QUEUE = {"purpose": "customer", "ani": "tel:+15555550123"}, {"purpose": "acd", "name": "6666"}
SIDECARS = {
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f0": ({"participants": [ANN]}, "ann@example.com"),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f1": ({"participants": [CUSTOMER, QUEUE, BOB]}, "bob@example.com"),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f2": ({"participants": [CUSTOMER] * 7 + [ANN]}, "ann@example.com"),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f3": ({"user": "bob@example.com", "participants": [ANN]}, "bob@example.com"),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f4": ({"participants": [ANN, CUSTOMER, BOB]}, None),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f5": ({"participants": [CUSTOMER, QUEUE]}, None),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f6": ({"participants": [{"purpose": "agent", "email": "ann"}]}, None),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f7": ({"participants": {"email": "ann@example.com"}}, None),
    "3f0c2d3e-4f50-4617-8293-a4b5c6d7e8f8": ({"participants": []}, None),
    "20051020-103108_6666-all": (None, None),  # no JSON beside it, and a name that another recipe would take
}
PEOPLE = sorted({truth[1] for truth in NAMES.values() if truth})


def address(person):
    return f"{person.replace('@', '.at.')}@example.com"


def tables(decoys=()):
    """What the exports hold; decoys are ids of people whom no call of NAMES belongs to."""
    people = {person: address(person) for person in PEOPLE}
    people.update({decoy: "wrong@example.com" for decoy in decoys if decoy not in people})
    return {"recordings": RECORDING_LOG, "answered": ANSWERED, "calls": CALLS, "agents": people,
            "extensions": people}


def parts_of(name):
    return set(re.findall(r"[A-Za-z0-9.]+", re.sub(r"\.\w+$", "", name)))


def configure(agent, recipe, contents):
    """The recipe as it is, but for places of this test."""
    text = (COOKBOOK / recipe).read_text()
    for table, rows in contents.items():
        (agent.root / f"{table}.csv").write_text("".join(f"{key},{value}\n" for key, value in rows.items()))
    text = text.replace("/etc/chorus-agent/", f"{agent.root}/")
    text, paths = re.subn(r"^    path: .*$", f"    path: {agent.calls}", text, flags=re.M)
    assert paths == 1
    agent.write_config("state_dir: $ROOT/state\ncontrol_dir: $ROOT/control\nchorus:\n  url: $URL\n"
                       "  token_file: $TOKEN_FILE\n" + text)


def explain(agent, names):
    """What becomes of each name: {name: object}."""
    done = agent.run("explain", "--json", "--names", "-", input="".join(f"{name}\n" for name in names), check=0)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(names)
    return dict(zip(names, rows))


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "genesys.yaml"])
def test_a_recipe_names_the_right_owner_for_its_own_names(agent, recipe):
    configure(agent, recipe, tables())
    own = {name: truth[1] for name, truth in NAMES.items() if truth and f"{truth[0]}.yaml" == recipe}
    assert own, "no names for this recipe"
    for name, row in explain(agent, list(own)).items():
        assert row["outcome"] == "uploaded", row
        assert row["owner"] == address(own[name]), row


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_never_names_a_wrong_owner(agent, recipe):
    """Also for names of other schemes; and every part of a name that does not say whose call it is is somebody's id."""
    decoys = set().union(*(parts_of(name) for name, truth in NAMES.items() if truth is None))
    configure(agent, recipe, tables(decoys - {"VDAD"}))  # whom VICIdial itself names where nobody took the call
    family = recipe.split("-")[0].split(".")[0]
    for name, row in explain(agent, list(NAMES)).items():
        truth = NAMES[name]
        if row["outcome"] != "uploaded":
            continue
        assert truth is not None and truth[0].split("-")[0] == family, row
        assert row["owner"] == address(truth[1]), row


def put_sidecars(agent, recordings, ending):
    for seed, (stem, (content, _)) in enumerate(SIDECARS.items()):
        agent.put(recordings.wav(agent.root / f"{seed}.wav", seed), f"hour=14/{stem}.wav")
        if content is not None:
            (agent.calls / "hour=14" / f"{stem}{ending}").write_text(json.dumps(content))


def configure_genesys(agent, ending):
    configure(agent, "genesys.yaml", {})
    if ending.startswith("."):  # as the cookbook says of exports that keep the recording's ending
        text = agent.config_file.read_text().replace('"{stem}_metadata.json"', '"{file}_metadata.json"')
        agent.config_file.write_text(text)


@pytest.mark.parametrize("ending", ["_metadata.json", ".wav_metadata.json"])
def test_sidecars_name_the_right_owner_or_none(agent, recordings, ending):
    configure_genesys(agent, ending)
    put_sidecars(agent, recordings, ending)
    rows = {}

    def settled():
        done = agent.run("explain", "--json", "--dir", agent.calls, check=0)
        rows.update({Path(row["path"]).stem: row for row in map(json.loads, done.stdout.splitlines())
                     if row["path"].endswith(".wav")})
        return all(row["outcome"] != "settling" for row in rows.values())

    wait_until(settled, "all have settled")
    assert rows.keys() == SIDECARS.keys()
    for stem, (_, owner) in SIDECARS.items():
        assert rows[stem]["outcome"] == ("uploaded" if owner else "held"), rows[stem]
        assert owner is None or rows[stem]["owner"] == owner, rows[stem]


def test_sidecars_are_uploaded_to_the_right_owner_or_held(double, agent, recordings):
    """The service itself, not only what explain says of it."""
    configure_genesys(agent, "_metadata.json")
    text = agent.config_file.read_text().replace("sidecar_wait: 5min", "sidecar_wait: 1s")
    agent.config_file.write_text(text)
    agent.start()
    put_sidecars(agent, recordings, "_metadata.json")
    owned = {f"{stem}.wav": owner for stem, (_, owner) in SIDECARS.items() if owner}
    agent.wait_counts(uploaded=len(owned), held=len(SIDECARS) - len(owned))
    assert {line["filename"]: line["fields"]["user"] for line in double.stored()} == owned


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_whole_configuration(agent, recipe):
    """As it stands, but for the folder, which is not on this machine."""
    configure(agent, recipe, tables())
    agent.run("check", check=0)
    text = (COOKBOOK / recipe).read_text()
    assert recipe in (COOKBOOK / "README.md").read_text()
    assert text.startswith("# "), "it says which scheme it is for"
