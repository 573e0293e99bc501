# Was der Bildschirm des Bedieners sagt, auf Deutsch. Jede Datei hat dieselben Meldungen mit denselben Werten.

operator = Bediener
nobody-logged-on = niemand angemeldet
virtual-bench = virtueller Prüfplatz
nest = Nest

# In großen Buchstaben: kurze Wörter.
big-scan = SCAN
big-start = START
big-wait = WARTEN
big-pass = GUT
big-fail = DEFEKT
big-error = STÖRUNG
big-aborted = ABBRUCH
big-stopped = HALT

do-scan = Etikett eines Moduls scannen
do-put-in = Modul einlegen, Deckel schließen, Start drücken (oder Enter)
do-wait = Warten, Deckel nicht öffnen
do-remove = Modul entnehmen, dann Enter; oder das nächste Etikett scannen
do-ship = Gut: weiter zur nächsten Station
do-retest = { $times ->
    [one] Einmal wiederholen: Modul neu einlegen und noch einmal scannen
   *[other] Wiederholen: Modul neu einlegen und noch einmal scannen (höchstens { $times }-mal)
}
do-repair = Zur Reparatur
do-call-technician = Techniker rufen: Störung des Prüfplatzes
do-retest-then-call = Störung des Prüfplatzes: wiederholen; kommt sie wieder, Techniker rufen
do-stopped = Nest angehalten: Techniker rufen
do-release = Enter gibt es frei
do-test-again = Abgebrochen: das Modul ist nicht geprüft; noch einmal prüfen
do-refused = Abgewiesen: das Modul wird nicht geprüft; bitte wie folgt vorgehen

# Für den Reparaturplatz. contacts: "12, 36-38"; count: wie viele.
# Warum ein Nest angehalten ist. contacts: "12, 36-38"; count: wie viele davon; units: wie viele Module.
stopped-contact = { $count ->
    [one] Kontakt { $contacts } fiel bei { $units } verschiedenen Modulen durch: Nadel { $contacts } prüfen
   *[other] Kontakte { $contacts } fielen bei { $units } verschiedenen Modulen durch: Nadeln { $contacts } prüfen
}
stopped-step = { $count ->
    [one] Schritt { $steps } misslang bei { $units } verschiedenen Modulen: Prüfplatz prüfen
   *[other] Schritte { $steps } misslangen bei { $units } verschiedenen Modulen: Prüfplatz prüfen
}
stopped-error = { $units } verschiedene Module endeten mit einer Störung: Prüfplatz prüfen

# Warum auf einem Nest das Referenzmodul dran ist. hours: seit wann; by: wer zuletzt unterschrieb.
golden-never = Referenzmodul fällig: auf diesem Nest nie geprüft
golden-overdue = Referenzmodul fällig: { $by } zeichnete es vor { $hours } Stunden ab
golden-drifted = Das Referenzmodul ist abgedriftet ({ $by }): Techniker rufen

repair-open = { $count ->
    [one] Reparatur: Kontakt { $contacts } nachlöten
   *[other] Reparatur: Kontakte { $contacts } nachlöten
}
repair-short = { $count ->
    [one] Reparatur: Lötbrücke an Kontakt { $contacts } suchen
   *[other] Reparatur: Lötbrücke zwischen den Kontakten { $contacts } suchen
}
repair-bridge = { $count ->
    [one] Reparatur: Schluss oder Leckstrom an Kontakt { $contacts } suchen
   *[other] Reparatur: Schluss oder Leckstrom an den Kontakten { $contacts } suchen
}
repair-part = { $count ->
    [one] Reparatur: ein Bauteil an Kontakt { $contacts } fehlt oder ist falsch
   *[other] Reparatur: ein Bauteil an den Kontakten { $contacts } fehlt oder ist falsch
}
repair-exchanged = { $count ->
    [one] Reparatur: Kontakt { $contacts } führt an einen fremden Platz
   *[other] Reparatur: die Kontakte { $contacts } sind vertauscht
}
repair-wrong-model = Aussortieren: das ist ein anderes Modell
repair-no-answer = Reparatur: das Modul antwortet nicht
repair-supply = { $count ->
    [one] Reparatur: Versorgung an Kontakt { $contacts } ansehen
   *[other] Reparatur: Versorgung an den Kontakten { $contacts } ansehen
}
repair-nothing = Das Modul ist nicht schuld
repair-look-at = { $count ->
    [one] Reparatur: Kontakt { $contacts } ansehen
   *[other] Reparatur: Kontakte { $contacts } ansehen
}

elapsed = { $elapsed } s
elapsed-of = { $elapsed } von etwa { $expected } s
steps = Schritt { $done } von { $all }
power-on = SPANNUNG EIN
power-off = Spannung aus
stopping = SCHALTET AB
stopping-within = Modem zuerst: aus in höchstens { $seconds } s
silent = Seit { $seconds } s kein Lebenszeichen: Techniker rufen, Vorrichtung von Hand ausschalten
rails-off-after = Spannung aus { $millis } ms nach dem Befehl
took = { $seconds } s

front = vorn, ungerade
back = hinten, gerade
header-left = Leiste ab 1
header-right = Leiste bis 16
contacts-at-fault = { $count ->
    [one] Fehlerhafter Kontakt: { $contacts }
   *[other] Fehlerhafte Kontakte: { $contacts }
}

shift-counts = { $runs } geprüft: { $passed } gut, { $failed } defekt, { $errors } Störung, { $aborted } abgebrochen
shift-yield = Erstausbeute { $percent }
shift-waiting = ({ $runs } zu senden)
shift-last = zuletzt

keys-work = Enter Start/weiter  Esc Abbruch  Tab Nest  F9 Abmelden  F10 Ende  F12 Sprache
ask-abort = { $count ->
    [one] Prüfung auf Nest { $nests } abbrechen? Geordnet dauert das höchstens { $seconds } s.
   *[other] Prüfungen auf den Nestern { $nests } abbrechen? Geordnet dauert das höchstens { $seconds } s.
}
ask-abort-keys = Enter: abbrechen, Modem zuerst   Entf: alle Nester SOFORT spannungsfrei   Esc: weiter prüfen
ask-leave = Es wird noch geprüft. Abbrechen und die Schicht beenden? Geordnet dauert das höchstens { $seconds } s.
ask-leave-keys = Enter: abbrechen, Modem zuerst, und beenden   Entf: alle Nester SOFORT spannungsfrei   Esc: weiter
ask-let-in = { $serial } { $why }.
ask-let-in-operator = Trotzdem prüfen? Enter: ja   Esc: nein
ask-release = Nest { $nest } freigeben? { $why }.
ask-release-operator = Ist die Ursache beseitigt? Enter: ja   Esc: nein
ask-release-technician = Ein Techniker gibt es frei, wenn die Ursache beseitigt ist: Ausweis scannen.   Esc: nein
ask-release-engineer = Ein Ingenieur gibt es frei, wenn die Ursache beseitigt ist: Ausweis scannen.   Esc: nein
ask-badge-technician = Ein Techniker darf die Prüfung erlauben: Ausweis scannen.   Esc: nein
ask-badge-engineer = Ein Ingenieur darf die Prüfung erlauben: Ausweis scannen.   Esc: nein
ask-pin = PIN von { $person }, dann Enter:
why-passed-already = hat schon bestanden
why-in-repair = ist zu oft durchgefallen: es gehört in die Reparatur
why-too-many-errors = hatte zu viele Störungen
ask-cause = Schritt { $step } von { $serial } wiederholen, um die Ursache zu finden? Das ist keine Prüfung und zählt nirgends.
ask-cause-badge = Nur für Techniker: Ausweis scannen.   Esc: nein
cause-hint = F11: ein Techniker wiederholt den Schritt, um die Ursache zu finden
cause-runs = DIAGNOSE von { $step }: keine Prüfung
cause-held = Spannung bleibt noch { $seconds } s an; Enter beendet das
cause-ended = Diagnose von { $step }: { $verdict ->
    [pass] diesmal gut
    [fail] wieder fehlgeschlagen
    [aborted] abgebrochen
   *[other] der Prüfplatz konnte es nicht feststellen
}. Das Urteil der Prüfung gilt weiter
notice-no-failed-step = Kein Schritt dieses Moduls ist fehlgeschlagen: nichts zu wiederholen
notice-no-technician = Nur ein Techniker darf einen Schritt wiederholen, und die Regeldatei nennt keinen
leaving = Ende: alles wird abgeschaltet
leaving-within = Ende: alles wird abgeschaltet, höchstens { $seconds } s
too-small = Das Terminal ist zu klein: { $columns } x { $rows } sind nötig

notice-put-in = { $serial }: auf Nest { $nest } legen
notice-close-lid = Deckel von Nest { $nest } schließen
notice-lid-opened = Der Deckel von Nest { $nest } wurde geöffnet: Spannung aus
notice-emergency = Not-Halt an Nest { $nest }: Spannung aus
notice-release-emergency = Zuerst den Not-Halt an Nest { $nest } entriegeln
notice-broken-off = Der Scan brach ab und zählt nicht: noch einmal scannen

# Warum ein Scan kein Etikett eines Moduls ist: je eine Zeile, kürzer als 78 Zeichen.
label-none = Kein Etikett eines Moduls (beginnt mit { $expected }): noch einmal scannen
label-unknown = Das ist kein Etikett eines Moduls: noch einmal scannen
label-other-model = { $prefix } ist kein Etikett eines { $model } (erwartet { $expected }), sondern eines { $other }
label-short = { $count ->
    [one] Der Seriennummer fehlt 1 Zeichen: noch einmal scannen
   *[other] Der Seriennummer fehlen { $count } Zeichen: noch einmal scannen
}
label-long = { $count ->
    [one] 1 Zeichen zu viel nach der Seriennummer: fehlt das Leerzeichen?
   *[other] { $count } Zeichen zu viel nach der Seriennummer: fehlt das Leerzeichen?
}
label-character = Eine Seriennummer enthält kein { $character }: noch einmal scannen
label-before = { $count ->
    [one] 1 Zeichen vor der Seriennummer: das Präfix des Scanners abschalten
   *[other] { $count } Zeichen vor der Seriennummer: das Präfix des Scanners abschalten
}
label-secret-first = Die Seriennummer steht nicht vorn: nicht der Code eines Moduletiketts
label-two = Zwei Etiketten liefen ineinander: dieses Modul noch einmal scannen
notice-twice = { $serial } ist schon auf Nest { $nest }
notice-all-busy = Jedes Nest ist belegt: warten
notice-refused = { $serial } { $why }: nicht geprüft
notice-hello = Hallo { $name }
notice-logged-off = Abgemeldet
notice-badge-first = Zuerst den Ausweis scannen
notice-answer-first = Zuerst die Frage beantworten; das Etikett wurde nicht genommen
notice-may-not = Dieser Ausweis darf das nicht erlauben
notice-no-badge = Niemand hat diesen Ausweis
notice-wrong-pin = Falsche PIN
notice-released = Nest { $nest } ist freigegeben
notice-asks = Nest { $nest } fragt etwas
notice-no-answer = Das ist keine Antwort: { $why }

# Eine Frage des Plans. Das große Wort hat wenige Buchstaben, damit es passt.
prompt-yes-no = 1 JA 2 NEIN
prompt-yes = ja
prompt-no = nein
prompt-cannot-press = nicht zu sagen
prompt-type = Zahl eingeben, dann Enter
prompt-type-unit = Zahl mit Einheit eingeben, zum Beispiel { $example }, dann Enter
prompt-type-text = Text eingeben oder scannen, dann Enter
prompt-pattern = Er muss passen zu { $pattern }
prompt-cannot-type = ? und Enter: nicht zu sagen
prompt-left = noch { $seconds } s; ohne Antwort endet die Prüfung als Fehler des Prüfplatzes
prompt-picture = Bild: { $file }
prompt-elsewhere = Zum Antworten dieses Nest wählen: Tab
