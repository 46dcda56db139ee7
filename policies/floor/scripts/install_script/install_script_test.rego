package weir.floor.scripts.install_script_test

import data.weir.floor.scripts.install_script
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	install_script.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"a script is a warning": {"given": {"install_script": fixture.hit({"kinds": ["install", "postinstall"]})}, "policy": {}, "want": {fixture.finding("WEIR-SCR-001", "warn", "install_script", {"kinds": "install, postinstall"})}},
	"an accepted script is silent": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {"install_scripts_allowed": {"npm": ["quiet-river"]}}, "want": set()},
	"acceptance elsewhere does not count": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {"install_scripts_allowed": {"pypi": ["quiet-river"]}}, "want": {fixture.finding("WEIR-SCR-001", "warn", "install_script", {"kinds": "install"})}},
	"acceptance of a longer name does not count": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {"install_scripts_allowed": {"npm": ["quiet-rivers"]}}, "want": {fixture.finding("WEIR-SCR-001", "warn", "install_script", {"kinds": "install"})}},
	"clear is silent": {"given": {}, "policy": {}, "want": set()},
	"unknown is silent": {"given": {"install_script": fixture.unknown("not_told_by_index")}, "policy": {}, "want": set()},
}
