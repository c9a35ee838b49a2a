package caller

import "testing"

func TestSharedIsOneCaller(t *testing.T) {
	connections := map[ID]int{Shared(): 1}
	connections[Shared()]++
	if len(connections) != 1 || connections[Shared()] != 2 {
		t.Errorf("the shared caller is not one key: %v", connections)
	}
	if Shared() == (ID{}) {
		t.Error("the shared caller is nobody")
	}
	if got := Shared().String(); got != "shared" {
		t.Errorf("String = %q, want shared", got)
	}
	if got := (ID{}).String(); got != "" {
		t.Errorf("nobody is named %q", got)
	}
}
