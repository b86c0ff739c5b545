"""Greets the user by name and counts the people they know. Run it in an image
under Consentry, with PYTHONPATH at ../."""

import sys

import consentry

try:
    answer = consentry.request(
        [{"type": "identity", "fields": ["name", "email?"]}, {"type": "contacts", "fields": ["name"], "max": 100}],
        purpose="to greet you and to count your friends")
except consentry.Denied as e:
    sys.exit(f"no: {e.code}")
except consentry.Again as e:
    print(f"later: {e.code}", file=sys.stderr)
    sys.exit(75)
me, people = answer.items
print("hello", me.values.get("name", "stranger"), "withheld", ",".join(me.withheld))
print(people.status, len(people.records))
print("grants", *sorted(g["kind"] for g in consentry.grants()))
for item in answer.items:
    if item.grant:
        consentry.give_back(item.grant)
print("after", len(consentry.grants()), "kinds", len(consentry.kinds()))
