package weir.floor.main_test

import data.weir.floor.main
import data.weir.lib.fixture_test as fixture

test_quiet_candidates_have_no_findings if {
	main.result == {"schema": "weir.input/v1", "findings": []} with input as fixture.given({})
		with data.settings as fixture.settings_of({})
}

test_findings_of_all_rules_are_collected_and_sorted if {
	result := main.result with input as fixture.given({
		"known_malicious": fixture.hit({"id": "MAL-1"}),
		"age": fixture.hit({"hours": 1}),
		"withdrawn_state": fixture.hit({"state": "yanked"}),
	})
		with data.settings as fixture.settings_of({})
	[found.rule | some found in result.findings] == ["WEIR-AGE-001", "WEIR-MAL-001", "WEIR-WDR-001"]
}

test_another_schema_has_no_answer if {
	not main.result with input as object.union(fixture.given({}), {"schema": "weir.input/v2"})
		with data.settings as fixture.settings_of({})
}

test_no_input_has_no_answer if {
	not main.result with input as {} with data.settings as fixture.settings_of({})
}

test_no_candidates_have_no_findings if {
	main.result.findings == [] with input as fixture.input_of([]) with data.settings as {}
}
