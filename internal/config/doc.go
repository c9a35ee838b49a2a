// Package config turns a configuration file into typed, checked values.
//
// The walk: bytes → standard JSON (comments and trailing commas taken out,
// every byte kept in its place) → a tree whose values know their line →
// strings with their ${…} expanded → [Config]. All mistakes are collected and
// reported at once, each with its line, its place and what to write instead.
package config
