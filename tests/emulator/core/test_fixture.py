def test_the_emulator_fixture_answers(emulator):
    assert emulator.client("sts").get_caller_identity()["Account"] == "000000000000"
