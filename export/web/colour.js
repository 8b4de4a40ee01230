// Colours that mean numbers. Both scales are laid out in OKLab, where equal steps look equal.

/** Return `[r, g, b]`, 0 to 255, of an OKLab colour (Ottosson 2020). */
function rgb(lightness, a, b) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((v) => {
    const light = Math.min(Math.max(v, 0), 1);
    return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
  });
}

const polar = (lightness, chroma, hue) => {
  const turn = (hue * Math.PI) / 180;
  return rgb(lightness, chroma * Math.cos(turn), chroma * Math.sin(turn));
};

/** 256 colours of steadily growing lightness, from night blue over red to pale yellow. */
export const SCALE = Array.from({ length: 256 }, (_, i) => {
  const t = i / 255;
  return polar(0.12 + 0.84 * t, 0.2 * Math.sin(Math.PI * t ** 0.8) ** 0.8, -80 + 190 * t);
});

/** Return the colour of a value between 0 and 1. */
export const heat = (value) => SCALE[Math.min(255, Math.max(0, Math.floor(value * 256)))];

// Okabe and Ito's, told apart by colour-blind readers; further classes get hues of their own.
const CLASSES = [
  [230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167], [0, 114, 178],
];

/** Return the colour of a class from 1; 0 is the background, which has none. */
export function classColour(number) {
  return CLASSES[number - 1] ?? polar(0.7, 0.14, (number * 137.5) % 360);
}

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
