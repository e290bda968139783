// The vendor's own SDK against a switch. Says what it sees as JSON lines on stdout; the test reads them.
//
//     node peer.mjs SCENE   with SIGNALWIRE_SPACE, SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN, TAP_DEVICE
import { SignalWire } from "@signalwire/realtime-api";

const say = (what, more = {}) => console.log(JSON.stringify({ what, ...more }));
const line = () => new Promise((resolve) => process.stdin.once("data", resolve));
const device = () => JSON.parse(process.env.TAP_DEVICE);
const dial = (client, to = "+15550199") =>
  client.voice.dialPhone({ to, from: "+15550100", timeout: 5 });

const client = await SignalWire({
  host: process.env.SIGNALWIRE_SPACE,
  project: process.env.SIGNALWIRE_PROJECT_ID,
  token: process.env.SIGNALWIRE_API_TOKEN,
});

const scenes = {
  // dial, tap, stop, ended, speak, hang up
  async whole() {
    const call = await dial(client);
    say("answered", { id: call.id, state: call.state, to: call.to });
    const tap = await call
      .tapAudio({
        direction: "both",
        device: device(),
        listen: {
          onStarted: (each) => say("onStarted", { id: each.id }),
          onEnded: (each) => say("onEnded", { id: each.id, state: each.state }),
        },
      })
      .onStarted();
    say("tapping", { id: tap.id, state: tap.state, ended: tap.hasEnded });
    await line();
    await tap.stop();
    await tap.ended();
    say("ended", { state: tap.state, ended: tap.hasEnded });
    const play = await call.playTTS({ text: "Tap ended" }).onStarted();
    say("playing", { state: play.state });
    await play.ended();
    say("played", { state: play.state });
    await call.hangup();
    say("hung up", { state: call.state });
  },
  // the far end hangs up while the tap runs; a dial that fails afterwards shows that all events before it were seen
  async hung() {
    const call = await dial(client);
    const tap = await call.tapAudio({ direction: "both", device: device() }).onStarted();
    let ended = false;
    tap.ended().then(() => (ended = true));
    say("tapping", { id: tap.id, call: call.id });
    await line();
    await dial(client, "+15550486").catch(() => undefined);
    say("afterwards", { ended, call: call.state });
  },
  // without a state event of the call before its dial event, the SDK never finds the call
  async unheard() {
    const dialled = dial(client).then(() => "answered", () => "failed");
    say("dialling");
    await line();
    await dial(client, "+15550486").catch(() => undefined);
    say("afterwards", { dialled: await Promise.race([dialled, Promise.resolve("pending")]) });
  },
  async busy() {
    try {
      await dial(client, "+15550486");
      say("answered");
    } catch (error) {
      say("failed", { reason: error.reason });
    }
  },
  async refused() {
    const call = await dial(client);
    try {
      await call.tapAudio({ direction: "both", device: { type: "rtp", addr: "nowhere", port: "1" } });
      say("tapping");
    } catch (error) {
      say("failed", { code: error.code, message: error.message });
    }
  },
  async inbound() {
    await client.voice.listen({
      topics: ["office"],
      onCallReceived: async (call) => {
        say("received", { id: call.id, from: call.from, direction: call.direction });
        await call.answer();
        say("answered", { state: call.state });
        await call.hangup();
        say("hung up", { state: call.state });
      },
    });
    say("listening");
    await line();
  },
  // the socket falls: the session is resumed, or not, and the call goes on, or is out of reach
  async dropped() {
    const call = await dial(client);
    const tap = await call.tapAudio({ direction: "both", device: device() }).onStarted();
    say("tapping", { id: tap.id, call: call.id });
    await line();
    try {
      await tap.stop();
    } catch (error) {
      say("failed", { code: error.code });
      return;
    }
    await tap.ended();
    say("ended", { state: tap.state });
    await call.hangup();
    say("hung up", { state: call.state });
  },
  // nothing is done
  async idle() {
    say("idle");
    await line();
  },
};

await scenes[process.argv[2]]();
await client.disconnect();
process.exit(0);
