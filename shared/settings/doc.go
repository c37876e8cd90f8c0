// Package settings fills a program's configuration struct from one YAML file, the environment and flags, in that order of
// growing strength, and names every wrong key or value with its place.
//
// Keys are the `yaml:"…"` tags of the struct, joined by dots: mqtt.url. The environment variable of a key is the prefix and
// the key in capitals with underscores: FLUXORA_AGENT_MQTT_URL. What stands in the struct before Load is the default.
//
// A struct may say more about itself with a method Check(report), whose findings are placed where the key was set.
// Nothing is guessed and nothing is skipped: an unknown key, a duplicate key or an unknown variable with the prefix is a
// problem, because it is nearly always a misspelling of one that was meant.
package settings
