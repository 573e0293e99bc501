# What the operator's screen says, in English. Every file has the same messages with the same values.

operator = Operator
nobody-logged-on = not logged on
virtual-bench = virtual bench
nest = Nest

# In large letters: short words.
big-scan = SCAN
big-start = START
big-wait = WAIT
big-pass = PASS
big-fail = FAIL
big-error = ERROR
big-aborted = ABORT
big-stopped = STOP

do-scan = Scan the label of a module
do-put-in = Put the module in, close the lid, press start (or Enter)
do-wait = Wait, do not open the lid
do-remove = Take the module out, then Enter; or scan the next label
do-ship = Good: send it to the next station
do-retest = { $times ->
    [one] Retest once: reseat the module and scan it again
   *[other] Retest: reseat the module and scan it again ({ $times } times at most)
}
do-repair = To repair
do-call-technician = Call the technician: bench error
do-retest-then-call = Bench error: test again; if it happens again, call the technician
do-stopped = Nest stopped: call the technician
do-release = Enter releases it
do-test-again = Aborted: the module is not tested; test it again
do-refused = Refused: the module is not tested; do what is said below

# Why a nest is stopped. contacts: "12, 36-38"; count: how many of them; units: how many modules.
stopped-contact = { $count ->
    [one] Contact { $contacts } failed on { $units } different modules: suspect nail { $contacts }
   *[other] Contacts { $contacts } failed on { $units } different modules: suspect nails { $contacts }
}
stopped-step = { $count ->
    [one] Step { $steps } did not pass on { $units } different modules: suspect the bench
   *[other] Steps { $steps } did not pass on { $units } different modules: suspect the bench
}
stopped-error = { $units } different modules ended in an error: suspect the bench

# Why the golden module must be tested on a nest. hours: since it was last; by: who signed then.
golden-never = Golden module due: never tested on this nest
golden-overdue = Golden module due: { $by } signed it off { $hours } hours ago
golden-drifted = The golden module drifted ({ $by }): call the technician

# For the repair bench. contacts: "12, 36-38"; count: how many.
repair-open = { $count ->
    [one] Repair: reflow contact { $contacts }
   *[other] Repair: reflow contacts { $contacts }
}
repair-short = { $count ->
    [one] Repair: look for a solder bridge at contact { $contacts }
   *[other] Repair: look for a solder bridge between contacts { $contacts }
}
repair-bridge = { $count ->
    [one] Repair: look for a short or leak at contact { $contacts }
   *[other] Repair: look for a short or leak at contacts { $contacts }
}
repair-part = { $count ->
    [one] Repair: a part at contact { $contacts } is missing or wrong
   *[other] Repair: a part at contacts { $contacts } is missing or wrong
}
repair-exchanged = { $count ->
    [one] Repair: contact { $contacts } is exchanged with another one
   *[other] Repair: contacts { $contacts } are exchanged
}
repair-wrong-model = Sort out: this is another model
repair-no-answer = Repair: the module does not answer
repair-supply = { $count ->
    [one] Repair: check the supply at contact { $contacts }
   *[other] Repair: check the supply at contacts { $contacts }
}
repair-nothing = The module is not at fault
repair-look-at = { $count ->
    [one] Repair: check contact { $contacts }
   *[other] Repair: check contacts { $contacts }
}

elapsed = { $elapsed } s
elapsed-of = { $elapsed } of about { $expected } s
steps = step { $done } of { $all }
power-on = POWER ON
power-off = power off
stopping = SWITCHING OFF
stopping-within = modem first: off in { $seconds } s at most
silent = No response for { $seconds } s: call the technician, switch the fixture off by hand
rails-off-after = Power off { $millis } ms after the order
took = { $seconds } s

front = front, odd
back = back, even
header-left = header, 1 up
header-right = header, down to 16
contacts-at-fault = { $count ->
    [one] Contact at fault: { $contacts }
   *[other] Contacts at fault: { $contacts }
}

shift-counts = { $runs } tested: { $passed } pass, { $failed } fail, { $errors } error, { $aborted } aborted
shift-yield = first-pass yield { $percent }
shift-waiting = ({ $runs } to be sent)
shift-last = last

keys-work = Enter start/remove  Esc abort  Tab nest  F9 log off  F10 end  F12 language
ask-abort = { $count ->
    [one] Abort the test on nest { $nests }? Switching off takes at most { $seconds } s.
   *[other] Abort the tests on nests { $nests }? Switching off takes at most { $seconds } s.
}
ask-abort-keys = Enter: abort, modem first   Del: power of all nests off AT ONCE   Esc: continue testing
ask-leave = Modules are being tested. Abort them and end the shift? Switching off takes at most { $seconds } s.
ask-leave-keys = Enter: abort, modem first, and end   Del: power of all nests off AT ONCE   Esc: continue
ask-let-in = { $serial } { $why }.
ask-let-in-operator = Test it anyway? Enter: yes   Esc: no
ask-release = Release nest { $nest }? { $why }.
ask-release-operator = Was the cause removed? Enter: yes   Esc: no
ask-release-technician = A technician releases it once the cause is removed: scan the badge.   Esc: no
ask-release-engineer = An engineer releases it once the cause is removed: scan the badge.   Esc: no
ask-badge-technician = A technician may allow the test: scan the badge.   Esc: no
ask-badge-engineer = An engineer may allow the test: scan the badge.   Esc: no
ask-pin = PIN of { $person }, then Enter:
why-passed-already = has passed already
why-in-repair = has failed too often: send it to repair
why-too-many-errors = had too many bench errors
ask-cause = Repeat step { $step } of { $serial } to find the cause? It is no test and counts nowhere.
ask-cause-badge = Only a technician: scan the badge.   Esc: no
cause-hint = F11: a technician repeats the failed step, to find the cause
cause-runs = DIAGNOSIS of { $step }: no test
cause-held = Power stays on for { $seconds } s; Enter ends it
cause-ended = Diagnosis of { $step }: { $verdict ->
    [pass] this time good
    [fail] failed again
    [aborted] aborted
   *[other] the bench could not tell
}. The verdict of the test stands
notice-no-failed-step = No step of this unit failed: nothing to repeat
notice-no-technician = Only a technician may repeat a step, and the rules file names none
leaving = Ending: switching everything off
leaving-within = Ending: switching everything off, at most { $seconds } s
too-small = The terminal is too small: it needs { $columns } x { $rows }

notice-put-in = { $serial }: put it in nest { $nest }
notice-close-lid = Close the lid of nest { $nest }
notice-lid-opened = The lid of nest { $nest } was opened: power off
notice-emergency = Emergency stop of nest { $nest }: power off
notice-release-emergency = Release the emergency stop of nest { $nest } first
notice-broken-off = The scan broke off and does not count: scan again

# Why a scan is not the label of a module: one line each, shorter than 78 characters.
label-none = Not the label of a module (it begins with { $expected }): scan again
label-unknown = Not the label of a module: scan again
label-other-model = { $prefix } is not the label of a { $model } (expected { $expected }): it is a { $other }
label-short = { $count ->
    [one] The serial number lacks 1 character: scan again
   *[other] The serial number lacks { $count } characters: scan again
}
label-long = { $count ->
    [one] 1 character too many after the serial number: is there no space?
   *[other] { $count } characters too many after the serial number: is there no space?
}
label-character = A serial number cannot hold { $character }: scan again
label-before = { $count ->
    [one] 1 character before the serial number: switch off the scanner's prefix
   *[other] { $count } characters before the serial number: switch off the scanner's prefix
}
label-secret-first = The serial number does not come first: not the code of a module's label
label-two = Two labels ran together: scan this module again
notice-twice = { $serial } is in nest { $nest } already
notice-all-busy = Every nest is busy: wait for one
notice-refused = { $serial } { $why }: not tested
notice-hello = Hello { $name }
notice-logged-off = Logged off
notice-badge-first = Scan your badge first
notice-answer-first = Answer the question first; the label was not taken
notice-may-not = This badge may not allow that
notice-no-badge = Unknown badge
notice-wrong-pin = Wrong PIN
notice-released = Nest { $nest } is released
notice-asks = Nest { $nest } asks you something
notice-no-answer = That is no answer: { $why }

# A question of the plan. The large word has few letters, so that it fits.
prompt-yes-no = 1 YES 2 NO
prompt-yes = yes
prompt-no = no
prompt-cannot-press = I cannot say
prompt-type = Type the number, then Enter
prompt-type-unit = Type the number with its unit, for example { $example }, then Enter
prompt-type-text = Type or scan the text, then Enter
prompt-pattern = It must match { $pattern }
prompt-cannot-type = ? and Enter: I cannot say
prompt-left = { $seconds } s left; without an answer the test ends as a bench error
prompt-picture = Picture: { $file }
prompt-elsewhere = Answer with focus on this nest: Tab
