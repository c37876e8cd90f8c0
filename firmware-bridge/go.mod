module fluxora.dev/firmware-bridge

go 1.26.0

require fluxora.dev/shared v0.0.0

require (
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/eclipse/paho.mqtt.golang v1.5.1 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/sync v0.17.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace fluxora.dev/shared => ../shared
