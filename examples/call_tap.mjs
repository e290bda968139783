// The first example of SignalWire's CallTap page, with the vendor's own SDK, tapped to a port of tapdeck's:
//
//     export SIGNALWIRE_PROJECT_ID=… SIGNALWIRE_API_TOKEN=… TO_NUMBER=… FROM_NUMBER=…
//     export TAP_DEVICE="$(tapdeck tap open --source any --json | jq -c .tap_audio)"
//     npm install @signalwire/realtime-api@4.2.1 && node call_tap.mjs
import { SignalWire } from "@signalwire/realtime-api";

const client = await SignalWire({
  host: process.env.SIGNALWIRE_SPACE ?? "relay.signalwire.com",
  project: process.env.SIGNALWIRE_PROJECT_ID,
  token: process.env.SIGNALWIRE_API_TOKEN,
});

const call = await client.voice.dialPhone({
  to: process.env.TO_NUMBER,
  from: process.env.FROM_NUMBER,
  timeout: 30,
});

const tap = await call
  .tapAudio({
    direction: "both",
    device: JSON.parse(process.env.TAP_DEVICE),
  })
  .onStarted();

// wait 10 seconds then stop the tap
setTimeout(async () => {
  console.log("Stopping tap");
  await tap.stop();
}, 1000 * Number(process.env.TAP_SECONDS ?? 10));

// wait for the tap to end
await tap.ended();
console.log("Tap ended");

await call.playTTS({ text: "Tap ended" });

// hangup the call
await call.hangup();
await client.disconnect();
