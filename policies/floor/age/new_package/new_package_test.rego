package weir.floor.age.new_package_test

import data.weir.floor.age.new_package
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	new_package.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"new is a warning": {"given": {"new_package": fixture.hit({"days": 3})}, "policy": {}, "want": {fixture.finding("WEIR-NEW-001", "warn", "new_package", {"days": 3, "window_days": 30})}},
	"clear is silent": {"given": {}, "policy": {}, "want": set()},
	"unknown is silent": {"given": {"new_package": fixture.unknown("publish_time_unknown")}, "policy": {}, "want": set()},
	"a hit without its value is silent": {"given": {"new_package": fixture.hit({})}, "policy": {}, "want": set()},
}
