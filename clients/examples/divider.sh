#!/bin/sh
# The same as divider.py without a package: the protocol is the contract.
# docs/reference/program-protocol.md
read hello
id=0
ask() { id=$((id + 1)); printf '{"id":%d,%s}\n' "$id" "$1"; read reply; }
value() { printf '%s' "$reply" | sed 's/.*"value":\([-0-9.e]*\).*/\1/'; }
ask '"rail":"3V3","on":true'
for pin in A0 D4; do
  ask '"port":"'$pin'","to":"pull-up"'
  ask '"drive":"'$pin'","high":false'
  ask '"wait":"5 ms"'
  ask '"measure":"volts","at":"'$pin'"'
  eval "$pin=$(value)"
done
ask '"measured":"A0_low","value":'$A0
ask '"measured":"ratio","value":'$(awk "BEGIN { printf \"%.17g\", $A0 / $D4 }")
